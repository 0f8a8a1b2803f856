/** The steps of a task: their arguments, results and heartbeats. */
import type { ErrorCode } from './errors.ts';
import type { ChangeId, MessageId, PermissionId, SessionId, TaskId } from './ids.ts';
import type { ExecutionPath, FinalState, Phase, TaskEnd, TaskResult } from './task.ts';

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
      /** The step has not refused the path. Absent in results of older workers, which had a program for `acp` only. */
      readonly hasProgram?: true;
      readonly agent?: string;
      /** The task names an agent whose name is kept out of Temporal. */
      readonly agentWithheld?: true;
    };

/** Empty: the task needs no worktree, because it has no project's path and only answers. */
export interface CreatedWorktree {
  readonly worktree?: string;
  readonly base?: string;
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

/** Update `answerPermission`, and the argument of the step that stores it. */
export interface AnswerInput extends StepInput {
  readonly permissionId: PermissionId;
  /** The id of an offered option, or `allow`, or `deny`. */
  readonly answer: string;
  readonly message?: string;
}

/** The seven steps, the relay and the answer, as the workflow sees them. */
export interface Steps {
  openSession(input: StepInput): Promise<OpenedSession>;
  createWorktree(input: StepInput): Promise<CreatedWorktree>;
  dispatchAgent(input: DispatchInput): Promise<DispatchResult>;
  diffWorktree(input: StepInput): Promise<CollectedDiff>;
  queueChange(input: QueueChangeInput): Promise<QueuedChange>;
  removeWorktree(input: StepInput): Promise<RemovedWorktree>;
  finishTask(input: FinishInput): Promise<TaskResult>;
  publishProgress(input: PublishInput): Promise<void>;
  /** Returns the id of the chosen option. */
  answerPermission(input: AnswerInput): Promise<string>;
}
