/** The records of a native session's journal, one record a line. A record is valid only after it is synced to disk. */

/** Metadata of a provider as the AI SDK returns it, such as the signature of a thinking block. */
export type ProviderMetadata = Readonly<Record<string, Readonly<Record<string, never>>>>;

export interface ToolCall {
  /** Unique in the session. */
  readonly id: string;
  readonly name: string;
  /** The arguments as the model wrote them, which may be invalid JSON. */
  readonly input: string;
  readonly metadata?: ProviderMetadata;
}

export interface Reasoning {
  readonly text: string;
  readonly metadata?: ProviderMetadata;
}

export interface TokenUsage {
  readonly input: number;
  readonly output: number;
}

export type TurnEndReason = 'end_turn' | 'refusal' | 'max_tokens' | 'max_turn_requests';

/**
 * One finished model call. Here and in the other files of this folder a step is a model call with its tool calls, not a
 * step of the task's workflow.
 */
export interface StepRecord {
  readonly type: 'step';
  readonly turn: number;
  /** `provider/model`. */
  readonly model: string;
  readonly text: string;
  readonly reasoning: readonly Reasoning[];
  readonly calls: readonly ToolCall[];
  readonly usage: TokenUsage;
  readonly finish: 'stop' | 'tool_calls' | 'length' | 'refusal';
}

/**
 * Appended before a tool that changes something starts. `before` and `after` are hashes of the file's content; `before`
 * is `null` if the file did not exist.
 */
export interface BeginRecord {
  readonly type: 'begin';
  readonly call: string;
  readonly edit?: { readonly path: string; readonly before: string | null; readonly after: string };
}

export interface ResultRecord {
  readonly type: 'result';
  readonly call: string;
  readonly ok: boolean;
  readonly output: string;
}

export type JournalRecord =
  | { readonly type: 'session'; readonly version: 1; readonly id: string; readonly cwd: string; readonly at: string }
  | { readonly type: 'settings'; readonly mode?: string; readonly model?: string; readonly thinking?: string }
  | { readonly type: 'user'; readonly turn: number; readonly text: string }
  | StepRecord
  | BeginRecord
  | ResultRecord
  /** The summary replaces the first `replaces` records in the conversation for the model. */
  | {
      readonly type: 'summary';
      readonly turn: number;
      readonly replaces: number;
      readonly text: string;
      readonly usage: TokenUsage;
    }
  | { readonly type: 'end'; readonly turn: number; readonly reason: TurnEndReason };
