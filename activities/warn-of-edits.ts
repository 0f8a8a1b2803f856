/**
 * Warns followers of uncommitted edits in the user's checkout, because the agent does not see those edits. The check
 * runs while the agent starts, because git takes a second on a large checkout. A second check for the same task appends
 * no second warning.
 */
import { taskBefore } from '../store/diffs.ts';
import { findCheckout } from '../store/task-worktrees.ts';
import { shortId, type TaskId } from '../contract/ids.ts';
import { appendWarnings } from './append-warnings.ts';
import type { StepDeps } from './step.ts';

/** Appends the warning if there are such edits. Never rejects, because a turn must not fail if the check fails. */
export async function warnOfEdits(
  { sql, worktrees, log }: StepDeps,
  taskId: TaskId,
  signal: AbortSignal,
): Promise<void> {
  try {
    const task = await findCheckout(sql, taskId);
    if (!task?.path) return;
    const before = task.base_commit === null ? undefined : await taskBefore(sql, taskId, task.base_commit);
    const startsFrom = before && `the result of task ${shortId(before)}`;
    const message = await worktrees.uncommittedEdits(task.path, { ...(startsFrom && { startsFrom }), signal });
    if (!message) return;
    await appendWarnings(sql, { sessionId: task.session_id, taskId, kind: 'uncommitted-edits' }, [message]);
  } catch (error) {
    if (!signal.aborted)
      log.warn({ task_id: taskId, err: error }, "could not check the user's checkout for uncommitted edits");
  }
}
