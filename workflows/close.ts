/** The closing steps, which run at every end of a task: diff worktree, queue change, remove worktree, finish. */
import type { TaskId } from '../contract/ids.ts';
import type { CollectedDiff } from '../contract/steps.ts';
import type { TaskEnd, TaskResult } from '../contract/task.ts';
import { endOf, messageOf } from './end.ts';
import type { LiveTask } from './live.ts';
import type { TaskSteps } from './steps.ts';

export interface Closing {
  readonly taskId: TaskId;
  readonly run: TaskSteps;
  readonly live: LiveTask;
  readonly end: TaskEnd;
  /** Whether the change is marked as partial, because the turn did not complete. */
  readonly partial: boolean;
  /** Whether the run ends in Temporal with the state of its task. */
  readonly truthfulEnd: boolean;
}

/**
 * Runs the closing steps in order. If diff worktree, queue change or remove worktree fails, the step finish still runs.
 * The worktree is removed only if its change was queued or it has no change.
 */
export async function closeTask({ taskId, run, live, end, partial, truthfulEnd }: Closing): Promise<TaskResult> {
  live.enter('diff worktree', 'collecting');
  const collected = await run.diffWorktree({ taskId }).catch((error: unknown): CollectedDiff => ({
    kind: 'kept',
    reason: `its changes could not be collected: ${messageOf(endOf(error))}`,
  }));
  let queueFailed: string | undefined;
  if (collected.kind === 'changed') {
    live.enter('queue change', 'collecting');
    await run.queueChange({ taskId, partial }).catch((error: unknown) => {
      queueFailed = `its change could not be queued: ${messageOf(endOf(error))}`;
    });
  }
  const keep = collected.kind === 'kept' ? collected.reason : queueFailed;
  if (keep === undefined) {
    live.enter('remove worktree', 'cleaning');
    await run.removeWorktree({ taskId }).catch((error: unknown) => {
      // `endOf` throws if the error is a bug of the workflow code. A failed removal fails no task, because `longhaul
      // gc` finds the folder later.
      endOf(error);
    });
  }
  live.enter('finish', 'cleaning');
  // A cancel request that arrives during the closing steps still cancels the task.
  const reason = live.cancelReason();
  const finalEnd: TaskEnd =
    reason && end.state !== 'cancelled' ? { state: 'cancelled', ...reason } : withFailure(end, collected);
  const result = await run.finishTask({
    taskId,
    end: finalEnd,
    ...(keep === undefined ? {} : { keptWorktree: keep }),
    ...(truthfulEnd && { cancelRun: true }),
  });
  // Another program may have ended the task with another state, so the state in the row counts.
  live.ended(truthfulEnd && result.state !== finalEnd.state ? endOfResult(result) : finalEnd);
  return result;
}

function endOfResult({ state, code = 'internal_error', summary }: TaskResult): TaskEnd {
  return state === 'failed' ? { state, code, message: summary } : { state };
}

/** Returns a failed end if the turn completed but its files could not be collected; otherwise returns `end`. */
function withFailure(end: TaskEnd, collected: CollectedDiff): TaskEnd {
  const failure = collected.kind === 'changed' ? undefined : collected.failure;
  return failure && end.state === 'completed' ? { state: 'failed', ...failure } : end;
}
