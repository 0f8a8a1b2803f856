/** What the terminal adapter must know of a command-line agent. */

/** One turn, as the arguments of the agent's program need it. */
export interface TurnArguments {
  readonly prompt: string;
  /** Path of a file that holds the prompt, for programs that read it from one. Made when it is called. */
  readonly promptFile: () => string;
  /** Undefined: the agent's own default. */
  readonly model: string | undefined;
  readonly mode: string | undefined;
  readonly thinking: string | undefined;
  readonly conversation: Conversation | undefined;
}

/** The agent's own conversation. Only for profiles that declare `resume`. */
export interface Conversation {
  /** The id that we chose, or that the agent's output named. */
  readonly id: string;
  /** False: the first turn, which begins it under this id. */
  readonly begun: boolean;
}

export interface ChoiceValue {
  readonly id: string;
  readonly name?: string;
  readonly description?: string;
}

/** Values for one choice; `any`: the program takes others, too, which only it can check. */
export interface Choice {
  readonly values: readonly ChoiceValue[];
  readonly any?: boolean;
  /** Used where the task names none; undefined: the program's own default. */
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
  /** What is typed. */
  readonly keys: string;
}

/** Output that asks a question: it becomes a permission request. */
export interface Question {
  /** Matched against the last lines up to the cursor, joined by line ends, without trailing spaces. */
  readonly pattern: RegExp;
  readonly options: readonly AnswerOption[];
}

/** How the program continues a conversation. Absent: it cannot. */
export interface Resume {
  /** `ours`: the profile passes our id at the first turn. A pattern finds the id in the output, as its first group. */
  readonly id: 'ours' | RegExp;
  /** Output of a program that does not have the conversation: a new one begins then. */
  readonly lost: RegExp;
}

export interface TerminalProfile {
  readonly name: string;
  /** Looked up on PATH where `available_agents` names no file. */
  readonly command: string;
  readonly arguments: (turn: TurnArguments) => readonly string[];
  readonly environment?: (turn: TurnArguments) => Readonly<Record<string, string>>;
  readonly models?: Choice;
  readonly modes?: Choice;
  readonly thinking?: Choice;
  /** Exit codes beside 0, which is `completed`. Any other is a failure. */
  readonly exits?: Readonly<Record<number, ExitMeaning>>;
  readonly questions?: readonly Question[];
  readonly resume?: Resume;
  /** Typed to ask the program to stop. Default: Ctrl-C. */
  readonly interrupt?: string;
  readonly envKeys?: readonly string[];
  readonly installHint?: string;
  readonly loginHint?: string;
}

/** An option with its value, if there is one. */
export const option = (name: string, value: string | undefined): string[] => (value === undefined ? [] : [name, value]);
