/**
 * The output of an agent, in the types that drivers, frames and rows share. The field names are those of the rows and
 * frames (snake_case).
 */
import type { ErrorCode } from './errors.ts';

/** One item of a tool call's content. The driver has cut the item to its maximum size. */
export type ToolCallContent =
  | { readonly type: 'text'; readonly text: string }
  | { readonly type: 'diff'; readonly path: string; readonly old_text?: string; readonly new_text: string }
  | { readonly type: 'terminal'; readonly terminal_id: string }
  | { readonly type: 'other'; readonly json: string };

/**
 * The current state of a tool call. Each event about the call contains the whole object and replaces the earlier one
 * with the same id.
 */
export interface ToolCall {
  readonly tool_call_id: string;
  readonly title: string;
  /** ACP's kinds: read, edit, delete, move, search, execute, think, fetch, switch_mode, other. */
  readonly kind: string;
  readonly status: 'pending' | 'in_progress' | 'completed' | 'failed';
  readonly locations: readonly { readonly path: string; readonly line?: number }[];
  readonly content: readonly ToolCallContent[];
  readonly raw_input?: unknown;
  readonly raw_output?: unknown;
}

/**
 * The beginning of a segment: the number of its first frame in the session's log, and that frame's time (ISO 8601,
 * UTC).
 */
interface SegmentStart {
  readonly seq: number;
  readonly at: string;
}

/** The end of a segment that has a duration: the number and the time of its last frame. */
interface SegmentEnd {
  readonly ended_seq: number;
  readonly ended_at: string;
}

/** One piece of a message. A message has its segments in the order in which they began. */
export type MessageSegment =
  /** The joined text segments are the message's `content`; the joined reasoning segments are its `reasoning`. */
  | (SegmentStart & SegmentEnd & SpokenSegment)
  /**
   * A tool call. The message's `tool_calls` has the call itself; `title` is its first title. A segment without an end
   * belongs to a call that is still open.
   */
  | (SegmentStart &
      Partial<SegmentEnd> & { readonly type: 'tool_call'; readonly tool_call_id: string; readonly title: string })
  | (SegmentStart & { readonly type: 'plan'; readonly entries: readonly PlanEntry[] })
  /** A new attempt begins here. `error_code` says why the previous attempt ended, if that is known. */
  | (SegmentStart & { readonly type: 'attempt'; readonly attempt: number; readonly error_code?: ErrorCode })
  /** The turn started over: the message lost its earlier content, and the earlier segments are removed. */
  | (SegmentStart & { readonly type: 'reset'; readonly reason: string })
  /** The number of segments that were removed here, because the message is too large. */
  | (SegmentStart & { readonly type: 'omitted'; readonly tool_calls: number; readonly plans: number });

interface SpokenSegment {
  readonly type: 'text' | 'reasoning';
  readonly text: string;
  /** The number of UTF-16 units that the agent sent and that the message does not store. */
  readonly omitted_chars?: number;
}

export interface PlanEntry {
  readonly content: string;
  readonly priority: string;
  readonly status: string;
}

export interface AgentCommand {
  readonly name: string;
  readonly description: string;
  /** The arguments that the agent expects after the command's name, if it reports them. */
  readonly argument_hint?: string;
}

export interface Usage {
  readonly input_tokens?: number;
  readonly output_tokens?: number;
  readonly total_tokens?: number;
  /** The number of tokens in the context window, and the size of the window, if the agent reports them. */
  readonly context_used?: number;
  readonly context_size?: number;
  readonly cost?: { readonly amount: number; readonly currency: string };
}

export interface PermissionOption {
  readonly option_id: string;
  readonly name: string;
  readonly kind: 'allow_once' | 'allow_always' | 'reject_once' | 'reject_always';
}

/** The last line of a readable diff that was cut. No other line of a diff begins with this text. */
export const DIFF_CUT_LINE = '[cut here: the rest is in the stored commit]';

/**
 * The values of `pending_changes.state`. Rows of an adopted table may have other values; an unfiltered list includes
 * them.
 */
export const CHANGE_STATES = ['pending', 'applied', 'undone', 'rejected'] as const;
export type ChangeState = (typeof CHANGE_STATES)[number];

/**
 * What a session's queue does after one of its tasks failed or was cancelled. With `continue` the next task starts.
 * With `hold` none starts until a request releases the queue.
 */
export const ON_FAILURE = ['continue', 'hold'] as const;
export type OnFailure = (typeof ON_FAILURE)[number];
