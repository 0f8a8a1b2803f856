/** Describes a command-line agent for the terminal adapter. */

/** The data of one turn from which the arguments of the agent's program are made. */
export interface TurnArguments {
  readonly prompt: string;
  /** Writes the prompt to a file and returns its path, for programs that read the prompt from a file. */
  readonly promptFile: () => string;
  /** The task's model. `undefined` selects the agent's own default, as it does for `mode` and `thinking`. */
  readonly model: string | undefined;
  readonly mode: string | undefined;
  readonly thinking: string | undefined;
  readonly conversation: Conversation | undefined;
}

/** The agent's own conversation. Only for profiles that declare `resume`. */
export interface Conversation {
  /** The id that the adapter chose, or that was found in the agent's output. */
  readonly id: string;
  /** False in the first turn, which begins the conversation under this id. */
  readonly begun: boolean;
}

export interface ChoiceValue {
  readonly id: string;
  readonly name?: string;
  readonly description?: string;
}

/** The values of one choice. `any` is true if the program accepts other values, which only the program can check. */
export interface Choice {
  readonly values: readonly ChoiceValue[];
  readonly any?: boolean;
  /** The value that is used if the task names none. `undefined` selects the program's own default. */
  readonly default?: string;
}

export type ExitMeaning =
  | 'completed'
  | 'needs_login'
  | 'turn_limit'
  /** The program ended its turn by itself, as it does after an interrupt. */
  | 'cancelled';

export interface AnswerOption {
  readonly id: string;
  readonly name: string;
  readonly kind: 'allow_once' | 'allow_always' | 'reject_once' | 'reject_always';
  /** The keys that are typed for this answer. */
  readonly keys: string;
}

/** Describes output that is a question. The adapter sends the question as a permission request. */
export interface Question {
  /** Matched against the last lines up to the cursor, joined by line feeds, without trailing spaces. */
  readonly pattern: RegExp;
  readonly options: readonly AnswerOption[];
}

/**
 * How the program continues a conversation. A program without this field in its profile cannot continue a conversation.
 */
export interface Resume {
  /** `ours`: the profile passes our id in the first turn. A pattern finds the id in the output, as its first group. */
  readonly id: 'ours' | RegExp;
  /** Matches the output of a program that no longer has the conversation. The turn then begins a new conversation. */
  readonly lost: RegExp;
}

export interface TerminalProfile {
  readonly name: string;
  /** The program's name, which is looked up on PATH if `available_agents` names no file. */
  readonly command: string;
  readonly arguments: (turn: TurnArguments) => readonly string[];
  readonly environment?: (turn: TurnArguments) => Readonly<Record<string, string>>;
  readonly models?: Choice;
  readonly modes?: Choice;
  readonly thinking?: Choice;
  /** The meanings of exit codes other than 0, which means `completed`. Any code that is not listed is a failure. */
  readonly exits?: Readonly<Record<number, ExitMeaning>>;
  /** Matches the last output of a turn that failed although the exit code is 0. */
  readonly fails?: RegExp;
  readonly questions?: readonly Question[];
  readonly resume?: Resume;
  /**
   * Files and folders that the program creates in the working directory for itself. The adapter removes them after a
   * turn that created them.
   */
  readonly leaves?: readonly string[];
  /** The keys that ask the program to stop. Default: Ctrl-C. */
  readonly interrupt?: string;
  readonly envKeys?: readonly string[];
  readonly installHint?: string;
  readonly loginHint?: string;
}

/** Returns the option and its value as two arguments, or no arguments if the value is `undefined`. */
export const option = (name: string, value: string | undefined): string[] => (value === undefined ? [] : [name, value]);
