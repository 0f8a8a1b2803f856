/** The description of a command-line agent for the terminal adapter. */

/** One turn, as the arguments of the agent's program need it. */
export interface TurnArguments {
  readonly prompt: string;
  /** Path of a file with the prompt, for programs that read it from a file. The call creates the file. */
  readonly promptFile: () => string;
  /** Undefined: the agent's own default. */
  readonly model: string | undefined;
  readonly mode: string | undefined;
  readonly thinking: string | undefined;
  readonly conversation: Conversation | undefined;
}

/** The agent's own conversation. Only for profiles that declare `resume`. */
export interface Conversation {
  /** The id that the adapter chose, or that the agent's output contained. */
  readonly id: string;
  /** False: the first turn, which begins it under this id. */
  readonly begun: boolean;
}

export interface ChoiceValue {
  readonly id: string;
  readonly name?: string;
  readonly description?: string;
}

/** Values for one choice. `any`: the program accepts others, too, which only the program can check. */
export interface Choice {
  readonly values: readonly ChoiceValue[];
  readonly any?: boolean;
  /** The value if the task names none. Undefined: the program's own default. */
  readonly default?: string;
}

export type ExitMeaning =
  | 'completed'
  | 'needs_login'
  | 'turn_limit'
  /** The program ended its turn by itself, as after an interrupt. */
  | 'cancelled';

export interface AnswerOption {
  readonly id: string;
  readonly name: string;
  readonly kind: 'allow_once' | 'allow_always' | 'reject_once' | 'reject_always';
  /** The keys that are typed for this answer. */
  readonly keys: string;
}

/** Output that is a question. The adapter sends it as a permission request. */
export interface Question {
  /** Matched against the last lines up to the cursor, joined by line ends, without trailing spaces. */
  readonly pattern: RegExp;
  readonly options: readonly AnswerOption[];
}

/** How the program continues a conversation. Absent: the program cannot. */
export interface Resume {
  /** `ours`: the profile passes our id at the first turn. A pattern finds the id in the output, as its first group. */
  readonly id: 'ours' | RegExp;
  /** Matches the output of a program that does not have the conversation. The turn then begins a new one. */
  readonly lost: RegExp;
}

export interface TerminalProfile {
  readonly name: string;
  /** Looked up on PATH if `available_agents` names no file. */
  readonly command: string;
  readonly arguments: (turn: TurnArguments) => readonly string[];
  readonly environment?: (turn: TurnArguments) => Readonly<Record<string, string>>;
  readonly models?: Choice;
  readonly modes?: Choice;
  readonly thinking?: Choice;
  /** Meanings of exit codes beside 0, which is `completed`. Any other code is a failure. */
  readonly exits?: Readonly<Record<number, ExitMeaning>>;
  /** Matches the last output of a turn that failed although the exit code is 0. */
  readonly fails?: RegExp;
  readonly questions?: readonly Question[];
  readonly resume?: Resume;
  /** Files and folders of its own that it makes in the working directory. The adapter removes them after a turn that made them. */
  readonly leaves?: readonly string[];
  /** Typed to ask the program to stop. Default: Ctrl-C. */
  readonly interrupt?: string;
  readonly envKeys?: readonly string[];
  readonly installHint?: string;
  readonly loginHint?: string;
}

/** An option with its value, if there is one. */
export const option = (name: string, value: string | undefined): string[] => (value === undefined ? [] : [name, value]);
