/**
 * A task's states and phases, how it ends, and the payloads of its workflow that Temporal's history carries. History
 * carries ids, cursors and short summaries; never prompts, agent text or diffs.
 */
import type { ErrorCode } from './errors.ts';
import type { TaskId } from './ids.ts';

export const PHASES = [
  'queued',
  'preparing',
  'starting',
  'working',
  'waiting_permission',
  /** A provider's usage limit is to be lifted first: no agent, no slot; the worktree stays. */
  'waiting_limit',
  'collecting',
  'cleaning',
] as const;
export type Phase = (typeof PHASES)[number];

export const TASK_STATES = ['pending', 'running', 'completed', 'failed', 'cancelled'] as const;
export type TaskState = (typeof TASK_STATES)[number];
export type FinalState = Extract<TaskState, 'completed' | 'failed' | 'cancelled'>;
export const FINAL_STATES: readonly TaskState[] = ['completed', 'failed', 'cancelled'];
/** The phase of a task as its row, REST and frames show it: after the end it is the final state. */
export type ShownPhase = Phase | FinalState;
export const isFinal = (state: TaskState): state is FinalState => FINAL_STATES.includes(state);

export type ExecutionPath = 'acp' | 'pty' | 'native';

/**
 * What runs are started with now. A change of the commands that workflows issue raises it, and adds a case to began.ts
 * and kept histories.
 */
export const COMMANDS = 4;

/** Start argument of the workflow `task`. */
export interface TaskInput {
  /** Absent in runs from before there was a second version. */
  readonly commands?: number;
  readonly taskId: TaskId;
  /** The machine that has the project's repository. */
  readonly host: string;
}

/** Start argument of the workflow `settle`: the closing steps for a task whose own run is gone. */
export interface SettleInput extends TaskInput {
  readonly end: TaskEnd;
}

/** How a task ended. */
export type TaskEnd =
  | { readonly state: 'completed' }
  | { readonly state: 'cancelled'; readonly reason?: string }
  | { readonly state: 'failed'; readonly code: ErrorCode; readonly message: string };

/**
 * What stands in a failure or a result in the place of a sentence that is kept out of Temporal: which step left it in the
 * database. The finish step puts the sentence there again.
 */
export const withheldBy = (step: string): string => `[withheld: ${step}]`;
export const WITHHELD = /\[withheld: (\w+)\]/g;

/** `none`: words of prompts, agents and projects stay out of Temporal. */
export type TemporalContent = 'full' | 'none';

/** Result of the finish step, and of a workflow whose task completed; else the workflow fails or is cancelled with it. */
export interface TaskResult {
  readonly state: FinalState;
  readonly code?: ErrorCode;
  readonly summary: string;
}

/** Signal `cancelTask`. */
export interface CancelTask {
  readonly reason?: string;
}

/** Signal `agentProgress`, from the dispatch step. One with an older `attempt` than the newest seen is ignored. */
export interface AgentProgress {
  readonly attempt: number;
  readonly phase: Phase;
  /** Title of the tool call that runs now, ≤ 120 characters. */
  readonly tool?: string;
  readonly plan?: { readonly done: number; readonly total: number; readonly current?: string };
  readonly tokens?: number;
  /** Tool calls finished so far in this turn. */
  readonly toolCalls?: number;
}

/** Query `taskStatus`. */
export interface TaskStatus {
  readonly phase: Phase | 'ended';
  readonly step: string;
  readonly cancelRequested: boolean;
  readonly progress?: AgentProgress;
  /** In phase `waiting_limit`: when it goes on, ISO 8601. */
  readonly waitsUntil?: string;
  readonly end?: TaskEnd;
}
