/**
 * Defines the frames. A frame is one entry of a session's log, in the form that a reader receives. The column `body`
 * stores the fields that belong to the frame's type.
 */
import type { Elicitation } from './elicitation.ts';
import type { AgentCommand, OnFailure, PermissionOption, PlanEntry, ToolCall, Usage } from './vocabulary.ts';
import type { ChangeId, ChatId, MessageId, PermissionId, SessionId, TaskId } from './ids.ts';
import type { ShownPhase, TaskState } from './task.ts';
import type { ErrorCode } from './errors.ts';

interface OfMessage {
  readonly message_id: MessageId;
  readonly chat_id: ChatId;
}

/** The queue of a session: its waiting tasks, in the order in which they start. */
export interface SessionQueue {
  /** The ids of the first tasks in the queue, at most QUEUE_FRAME_TASKS. */
  readonly tasks: readonly TaskId[];
  /** The number of all waiting tasks, including those that `tasks` omits. */
  readonly waiting: number;
  /** The time since which the queue is held (ISO 8601). Null if the queue is not held. A held queue starts no task. */
  readonly held_since: string | null;
  /** The task whose failure or cancel held the queue. Null if a request held the queue, or if the queue is not held. */
  readonly held_after: TaskId | null;
  readonly on_failure: OnFailure;
}

/** The maximum number of task ids in a frame of type `queue`. 500 ids take 20 KB. */
export const QUEUE_FRAME_TASKS = 500;

/**
 * The body of a frame. `delta` and `reasoning_delta` append text; `tool_call`, `plan` and `message` replace the whole
 * object with the same id. A `delta` with the role `user` has the whole text of a user's message and replaces the text
 * that the reader has. So a reader may receive such a `delta` twice, or after a snapshot that already contains its
 * text.
 */
export type FrameBody =
  | ({ readonly type: 'message_started'; readonly role: 'user' | 'assistant' } & OfMessage)
  | ({ readonly type: 'delta'; readonly content: string; readonly role?: 'user' } & OfMessage)
  | ({ readonly type: 'reasoning_delta'; readonly content: string } & OfMessage)
  | ({ readonly type: 'tool_call'; readonly call: ToolCall } & OfMessage)
  | ({ readonly type: 'plan'; readonly entries: readonly PlanEntry[] } & OfMessage)
  /** The turn starts over in a new agent session, so a reader discards the content of this message so far. */
  | ({ readonly type: 'message_reset'; readonly reason: string } & OfMessage)
  | ({ readonly type: 'message_complete'; readonly status: 'complete' | 'failed' | 'cancelled' } & OfMessage)
  | ({
      readonly type: 'message';
      readonly role: 'user' | 'assistant';
      readonly content: string;
      readonly status: string;
    } & OfMessage)
  | { readonly type: 'agent_commands'; readonly commands: readonly AgentCommand[] }
  | { readonly type: 'usage'; readonly usage: Usage }
  | {
      readonly type: 'permission_requested';
      readonly permission_id: PermissionId;
      readonly options: readonly PermissionOption[];
      readonly tool_call: ToolCall;
      /** Present if the agent asks for no permission, but for an answer to a form or a visit to an address. */
      readonly elicitation?: Elicitation;
    }
  | { readonly type: 'permission_resolved'; readonly permission_id: PermissionId; readonly chosen?: string }
  | {
      readonly type: 'task_state';
      readonly state: TaskState;
      readonly phase: ShownPhase;
      readonly error_code?: ErrorCode;
      readonly output_summary?: string;
      readonly attempt?: number;
      /** The time at which the task continues, ISO 8601. Set in phase waiting_limit. */
      readonly waits_until?: string;
    }
  | {
      readonly type: 'change_queued';
      readonly change_id: ChangeId;
      readonly files: number;
      readonly additions: number;
      readonly deletions: number;
      readonly partial: boolean;
    }
  | {
      readonly type: 'change_state';
      readonly change_id: ChangeId;
      readonly state: string;
      /** The interface through which the request came: `cli` or `rest`. */
      readonly by?: string;
    }
  | ({ readonly type: 'queue' } & SessionQueue)
  | { readonly type: 'warning'; readonly message: string };

/**
 * The fields of every stored frame beside its body. `seq` increases by one with each frame of a session, without gaps.
 */
export interface FrameEnvelope {
  readonly session_id: SessionId;
  readonly seq: number;
  readonly task_id?: TaskId;
  /** ISO 8601, UTC. */
  readonly at: string;
}

export type Frame = FrameBody & FrameEnvelope;

/**
 * The maximum size of a frame, as JSON with all its fields. A driver cuts its events to fit, and the log cuts a body
 * that is still too large.
 */
export const MAX_FRAME_BYTES = 64 * 1024;
/**
 * The maximum length of a delta. A character takes at most six bytes in JSON (\u001b), so such a delta fits into a
 * frame.
 */
export const MAX_DELTA_CHARS = 8 * 1024;
