/**
 * A task's states and phases, its end, and the payloads that its workflow stores in Temporal's history. These payloads
 * contain ids, cursors and short summaries; they never contain prompts, agent text or diffs.
 */
import type { ErrorCode } from './errors.ts';
import type { TaskId } from './ids.ts';

export const PHASES = [
  'queued',
  'preparing',
  'starting',
  'working',
  'waiting_permission',
  /** The task waits until a provider lifts its usage limit. It has no agent and no slot, but its worktree remains. */
  'waiting_limit',
  'collecting',
  'cleaning',
] as const;
export type Phase = (typeof PHASES)[number];

export const TASK_STATES = ['pending', 'running', 'completed', 'failed', 'cancelled'] as const;
export type TaskState = (typeof TASK_STATES)[number];
export type FinalState = Extract<TaskState, 'completed' | 'failed' | 'cancelled'>;
export const FINAL_STATES: readonly TaskState[] = ['completed', 'failed', 'cancelled'];
/** The phase of a task as its row, REST and frames show it. After the end it is the final state. */
export type ShownPhase = Phase | FinalState;
export const isFinal = (state: TaskState): state is FinalState => FINAL_STATES.includes(state);

export type ExecutionPath = 'acp' | 'pty' | 'native';

/**
 * The version of the commands that a new run issues. A change of the commands needs a new version: a higher number
 * here, a new case in workflows/commands.ts, and new kept histories (test/histories/).
 */
export const COMMANDS = 5;

/** The argument of the workflow `task`. */
export interface TaskInput {
  /** The version of the commands that the run issues. Absent in runs of version 1. */
  readonly commands?: number;
  readonly taskId: TaskId;
  /** The host that has the project's repository. */
  readonly host: string;
}

/** The argument of the workflow `settle`, which runs the closing steps for a task whose own run no longer exists. */
export interface SettleInput extends TaskInput {
  readonly end: TaskEnd;
}

/** The final state of a task, with the reason of a cancel or the code and message of a failure. */
export type TaskEnd =
  | { readonly state: 'completed' }
  | { readonly state: 'cancelled'; readonly reason?: string }
  | { readonly state: 'failed'; readonly code: ErrorCode; readonly message: string };

/**
 * Returns the placeholder that replaces, in a failure or a result, a sentence that the settings exclude from Temporal.
 * The placeholder names the step that stored the sentence in the database, and the finish step puts the sentence back.
 */
export const withheldPlaceholder = (step: string): string => `[withheld: ${step}]`;
/** Matches the placeholders that `withheldPlaceholder` returns. The first group of the match is the step. */
export const WITHHELD_PATTERN = /\[withheld: (\w+)\]/g;

/** The setting for text in Temporal. `none`: Temporal stores no text of prompts, agents or projects. */
export type TemporalContent = 'full' | 'none';

/**
 * The result of the finish step, and of a run whose task completed. Any other run fails or is cancelled, with the
 * task's summary.
 */
export interface TaskResult {
  readonly state: FinalState;
  readonly code?: ErrorCode;
  readonly summary: string;
}

/** The payload of the signal `cancelTask`. */
export interface CancelTask {
  readonly reason?: string;
}

/** The payload of the signal `wakeTask`: a permission request of this attempt, whose turn hibernates, was answered. */
export interface WakeTask {
  readonly attempt: number;
}

/**
 * The payload of the signal `agentProgress` from the dispatch step. The workflow ignores a signal whose `attempt` is
 * older than the newest attempt that it knows.
 */
export interface AgentProgress {
  readonly attempt: number;
  readonly phase: Phase;
  /** The title of the running tool call, ≤ 120 characters. */
  readonly tool?: string;
  readonly plan?: { readonly done: number; readonly total: number; readonly current?: string };
  readonly tokens?: number;
  /** The number of completed tool calls of this turn. */
  readonly toolCalls?: number;
}

/** The result of the query `taskStatus`. */
export interface TaskStatus {
  readonly phase: Phase | 'ended';
  readonly step: string;
  readonly cancelRequested: boolean;
  readonly progress?: AgentProgress;
  /** The time at which the task continues, ISO 8601. Set in phase `waiting_limit`. */
  readonly waitsUntil?: string;
  /** The beginning of the agent's question. Set while the task hibernates. */
  readonly question?: string;
  readonly end?: TaskEnd;
}
