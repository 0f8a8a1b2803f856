/**
 * What an agent says and shows, in the words that drivers, frames and rows share. Field names are those of
 * the rows and frames (snake_case).
 */
import type { ErrorCode } from './errors.ts';

/** One entry of a tool call's content, already cut to size. */
export type ToolCallContent =
  | { readonly type: 'text'; readonly text: string }
  | { readonly type: 'diff'; readonly path: string; readonly old_text?: string; readonly new_text: string }
  | { readonly type: 'terminal'; readonly terminal_id: string }
  | { readonly type: 'other'; readonly json: string };

/** A tool call as it stands now: each event replaces the whole object of that id. */
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

/** Where a segment began, as its first frame has it: number in the session's log and time (ISO 8601, UTC). */
interface SegmentStart {
  readonly seq: number;
  readonly at: string;
}

/** The last frame of a segment that takes time. */
interface SegmentEnd {
  readonly ended_seq: number;
  readonly ended_at: string;
}

/** One piece of a message: its segments are in the order in which they began. */
export type MessageSegment =
  /** The text segments together are the message's `content`, the reasoning segments its `reasoning`. */
  | (SegmentStart & SegmentEnd & SpokenSegment)
  /** The call is in the message's `tool_calls`; `title` is the one that it began with. Without an end: it is open. */
  | (SegmentStart &
      Partial<SegmentEnd> & { readonly type: 'tool_call'; readonly tool_call_id: string; readonly title: string })
  | (SegmentStart & { readonly type: 'plan'; readonly entries: readonly PlanEntry[] })
  /** From here on another attempt works; `error_code` says why the one before ended, where that is known. */
  | (SegmentStart & { readonly type: 'attempt'; readonly attempt: number; readonly error_code?: ErrorCode })
  /** The turn started over: what the message held before is void, and no longer among the segments. */
  | (SegmentStart & { readonly type: 'reset'; readonly reason: string })
  /** How many segments are not kept here, because the message is too large. */
  | (SegmentStart & { readonly type: 'omitted'; readonly tool_calls: number; readonly plans: number });

interface SpokenSegment {
  readonly type: 'text' | 'reasoning';
  readonly text: string;
  /** UTF-16 units that came and are not kept. */
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
}

export interface Usage {
  readonly input_tokens?: number;
  readonly output_tokens?: number;
  readonly total_tokens?: number;
  /** Context window in use and its size, where the agent says. */
  readonly context_used?: number;
  readonly context_size?: number;
  readonly cost?: { readonly amount: number; readonly currency: string };
}

export interface PermissionOption {
  readonly option_id: string;
  readonly name: string;
  readonly kind: 'allow_once' | 'allow_always' | 'reject_once' | 'reject_always';
}

/** Last line of a change's readable diff that was cut. No line of a diff begins so. */
export const DIFF_CUT_LINE = '[cut here: the rest is in the stored commit]';

/** Of `pending_changes.state`. Rows of an adopted table may have others; the list without a filter has those. */
export const CHANGE_STATES = ['pending', 'applied', 'undone', 'rejected'] as const;
export type ChangeState = (typeof CHANGE_STATES)[number];
