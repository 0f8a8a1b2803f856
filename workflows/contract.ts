/**
 * The words that workflow, steps, client and store share: ids, names of queues, signals, updates and
 * queries, and the payloads that Temporal's history carries. History carries ids, cursors and short
 * summaries; never prompts, agent text or diffs.
 *
 * This file is loaded inside the workflow sandbox: no Node built-ins, no imports but errors.ts.
 */
import type { ErrorCode } from './errors.ts';

declare const brand: unique symbol;
type Id<Name extends string> = string & { readonly [brand]: Name };
export type TaskId = Id<'TaskId'>;
export type ProjectId = Id<'ProjectId'>;
export type SessionId = Id<'SessionId'>;
export type ChatId = Id<'ChatId'>;
export type MessageId = Id<'MessageId'>;
export type ChangeId = Id<'ChangeId'>;
export type PermissionId = Id<'PermissionId'>;
/** The agent's own conversation id. */
export type AgentSessionId = Id<'AgentSessionId'>;

export const WORKFLOW_QUEUE = 'longhaul';
/**
 * A worker that dies while it decides what comes next holds the run up for this long; Temporal's default of
 * 10 s was the longest wait after a `kill -9`. Histories are short, so deciding takes milliseconds.
 */
export const WORKFLOW_TASK_TIMEOUT = '3s';
/** Steps on a host's disk that need no agent slot: diff, remove. */
export const hostQueue = (host: string): string => `longhaul-host-${host}`;
/** Steps that hold an agent slot: create worktree, dispatch. */
export const agentQueue = (host: string): string => `longhaul-agents-${host}`;

export const taskWorkflowId = (taskId: TaskId): string => `task-${taskId}`;
export const settleWorkflowId = (taskId: TaskId): string => `settle-${taskId}`;

export const SEARCH_ATTRIBUTES = {
  project: 'LonghaulProject',
  agent: 'LonghaulAgent',
  /** `queued`, `starting` if that takes long, `working`, `waiting_permission`, `waiting_limit`; then how the task ended. */
  phase: 'LonghaulPhase',
} as const;

export const CANCEL_TASK = 'cancelTask';
export const AGENT_PROGRESS = 'agentProgress';
export const TASK_STATUS = 'taskStatus';

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

/** What a dispatch step's heartbeat carries; the newest one reaches the next attempt as its heartbeat details. */
export interface DispatchHeartbeat {
  readonly attempt: number;
  /** Last frame of the session that this attempt wrote, a decimal string (int8). */
  readonly seq: string;
  readonly agent_session_id?: string;
  readonly pid?: number;
  readonly phase: Phase;
}

export interface StepInput {
  readonly taskId: TaskId;
}

/** Where a turn stands that has waited for a provider's limit to be lifted. */
export interface TurnSoFar {
  /** How often it has waited. */
  readonly waits: number;
  /** Its last attempt before this step: the step's own count on from there. */
  readonly attempt: number;
}

export interface DispatchInput extends StepInput {
  /** Absent in runs that cannot wait for a limit. */
  readonly soFar?: TurnSoFar;
}

/** Result of the step open session. `closed`: the task is final already and nothing is left to do. */
export type OpenedSession =
  | { readonly kind: 'closed'; readonly state: FinalState }
  | {
      readonly kind: 'opened';
      readonly sessionId: SessionId;
      readonly messageId: MessageId;
      readonly path: ExecutionPath;
      readonly agent?: string;
      /** The task names an agent whose name is kept out of Temporal. */
      readonly agentWithheld?: true;
    };

export interface CreatedWorktree {
  readonly worktree: string;
  readonly base: string;
}

/** What came of the turn. Failures that a retry may mend are thrown instead. */
export type DispatchResult =
  | { readonly kind: 'completed'; readonly attempt: number }
  /** Not over: the provider's usage limit is lifted then (ISO 8601), and the turn goes on with a further dispatch. */
  | { readonly kind: 'waiting'; readonly until: string; readonly attempt: number }
  | { readonly kind: 'failed'; readonly code: ErrorCode; readonly message: string; readonly attempt: number };

/** Why a task whose turn was completed has failed all the same. */
export interface CollectFailure {
  readonly code: ErrorCode;
  readonly message: string;
}

export type CollectedDiff =
  | { readonly kind: 'none'; readonly failure?: CollectFailure }
  | {
      readonly kind: 'changed';
      readonly commit: string;
      readonly files: number;
      readonly additions: number;
      readonly deletions: number;
    }
  /** The worktree could not be stored for good, or holds what a commit cannot carry: it must stay. */
  | { readonly kind: 'kept'; readonly reason: string; readonly failure?: CollectFailure };

export interface QueueChangeInput extends StepInput {
  /** The turn did not come to its end. */
  readonly partial: boolean;
}

export interface QueuedChange {
  readonly changeId: ChangeId;
}

export interface RemovedWorktree {
  readonly removed: boolean;
}

export interface FinishInput extends StepInput {
  readonly end: TaskEnd;
  /** Said in the summary when the worktree stays: why, and where it is. */
  readonly keptWorktree?: string;
  /** If the task ends as cancelled, Temporal is asked to cancel the run, too: only then may the run end as cancelled. */
  readonly cancelRun?: true;
}

/** Progress that the workflow relays to rows and frames. */
export interface PublishInput extends StepInput {
  readonly phase: Phase;
  readonly attempt: number;
  readonly waitsUntil?: string;
  /** Grows by one per relay of a run: the frame's unique key. */
  readonly ordinal: number;
}

/** The seven steps and the relay, as the workflow sees them. */
export interface Steps {
  openSession(input: StepInput): Promise<OpenedSession>;
  createWorktree(input: StepInput): Promise<CreatedWorktree>;
  dispatchAgent(input: DispatchInput): Promise<DispatchResult>;
  diffWorktree(input: StepInput): Promise<CollectedDiff>;
  queueChange(input: QueueChangeInput): Promise<QueuedChange>;
  removeWorktree(input: StepInput): Promise<RemovedWorktree>;
  finishTask(input: FinishInput): Promise<TaskResult>;
  publishProgress(input: PublishInput): Promise<void>;
}
