/** The steps of a task: their arguments, results and heartbeats. */
import type { ErrorCode } from './errors.ts';
import type { ChangeId, MessageId, PermissionId, SessionId, TaskId } from './ids.ts';
import type { ExecutionPath, FinalState, Phase, TaskEnd, TaskResult } from './task.ts';

/** The details of a dispatch step's heartbeat. The next attempt receives the newest details. */
export interface DispatchHeartbeat {
  readonly attempt: number;
  /**
   * The `seq` of the last frame that this attempt wrote to the session. It is a decimal string, because `seq` is an
   * int8.
   */
  readonly seq: string;
  readonly agent_session_id?: string;
  readonly pid?: number;
  readonly phase: Phase;
}

export interface StepInput {
  readonly taskId: TaskId;
}

/** The progress of a turn that has waited for a provider's limit, or hibernated. */
export interface TurnSoFar {
  /** The number of times that the turn has waited, for a provider's limit or for an answer. */
  readonly waits: number;
  /** The number of the turn's last attempt before this step. The step's own attempts continue this count. */
  readonly attempt: number;
}

export interface DispatchInput extends StepInput {
  /** The progress of the turn in earlier dispatches. Absent in runs whose version cannot wait for a limit. */
  readonly soFar?: TurnSoFar;
  /** Present if the run can wait for an answer without an agent. Absent in runs of older versions. */
  readonly mayHibernate?: true;
}

/** The result of the step open session. `closed`: the task is final already, so no step remains. */
export type OpenedSession =
  | { readonly kind: 'closed'; readonly state: FinalState }
  | {
      readonly kind: 'opened';
      readonly sessionId: SessionId;
      readonly messageId: MessageId;
      readonly path: ExecutionPath;
      /**
       * Set if the step has checked that this worker has a launcher for the path. Absent in results of older workers,
       * which had a program for `acp` only.
       */
      readonly hasProgram?: true;
      readonly agent?: string;
      /** Set if the task names an agent whose name the settings exclude from Temporal. */
      readonly agentWithheld?: true;
    };

/**
 * The result of the step create worktree. It is empty if the task needs no worktree, because its project has no path
 * and the agent only answers.
 */
export interface CreatedWorktree {
  readonly worktree?: string;
  readonly base?: string;
}

/** The outcome of the turn. If a retry may fix a failure, the step throws the failure instead. */
export type DispatchResult =
  | { readonly kind: 'completed'; readonly attempt: number }
  /**
   * The turn has not ended, because the provider lifts its usage limit only at `until` (ISO 8601). The next dispatch
   * continues the turn.
   */
  | { readonly kind: 'waiting'; readonly until: string; readonly attempt: number }
  /**
   * The turn has not ended: its agent asked for a permission, and was ended because no answer came. The next dispatch
   * continues the turn. At `until` (ISO 8601) the request gets its default answer. `question` is the beginning of the
   * agent's question; it is absent if the settings exclude it from Temporal.
   */
  | { readonly kind: 'hibernated'; readonly attempt: number; readonly until?: string; readonly question?: string }
  | { readonly kind: 'failed'; readonly code: ErrorCode; readonly message: string; readonly attempt: number };

/** The reason why a task fails although its turn completed: its files could not be collected. */
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
  /**
   * The worktree remains, because the step could not store it permanently, or because it has files that a commit cannot
   * contain.
   */
  | { readonly kind: 'kept'; readonly reason: string; readonly failure?: CollectFailure };

export interface QueueChangeInput extends StepInput {
  /** True if the turn did not complete. */
  readonly partial: boolean;
}

export interface QueuedChange {
  readonly changeId: ChangeId;
}

export interface RemovedWorktree {
  readonly removed: boolean;
  /** Present if the worktree was parked for the session's next task. Absent if it was removed. */
  readonly parked?: true;
}

export interface FinishInput extends StepInput {
  readonly end: TaskEnd;
  /** The reason why the worktree remains, as a sentence. The summary contains this sentence and the worktree's path. */
  readonly keptWorktree?: string;
  /**
   * If the task ends as cancelled, the step also requests the cancel of the run, because only then can the run end as
   * cancelled.
   */
  readonly cancelRun?: true;
}

/** Progress that the workflow forwards to rows and frames. */
export interface PublishInput extends StepInput {
  readonly phase: Phase;
  readonly attempt: number;
  readonly waitsUntil?: string;
  /** Increases by one with each publication of a run. The frame's unique key contains it. */
  readonly ordinal: number;
}

/** The argument of the update `answerPermission`, and of the step that stores the answer. */
export interface AnswerInput extends StepInput {
  readonly permissionId: PermissionId;
  /** The answer: the id of an offered option, or `allow`, `deny` or `always`. */
  readonly answer: string;
  readonly message?: string;
  /** The values of a form's fields. Present only with the answer `accept`. */
  readonly content?: unknown;
}

/** The seven steps, the publication of progress and the permission answer, as the workflow calls them. */
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
