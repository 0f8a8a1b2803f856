/** Removes a task that has ended. */
import { removeTaskRow, type TaskRemoval } from '../store/remove-task.ts';
import type { Sql } from '../store/sql.ts';
import { shortId, type TaskId } from '../contract/ids.ts';
import { LonghaulError } from '../contract/errors.ts';
import { notFoundError, parseId } from './short-ids.ts';

export type RemovedTask = Omit<Extract<TaskRemoval, { kind: 'removed' }>, 'kind'>;

/**
 * Removes the task's row, messages, frames and change. The commit of its result stays in the repository. Fails with
 * `task_not_found`, with `task_open` if the task has not ended, with `session_at_work` if another task of its session
 * is running, and with `change_decided` if an action on its change has not ended.
 */
export async function removeTask({ sql }: { readonly sql: Sql }, id: TaskId): Promise<RemovedTask> {
  const taskId = parseId('task', id);
  const removal = await sql.begin((tx) => removeTaskRow(tx, taskId));
  if (removal.kind === 'missing') throw notFoundError('task', taskId);
  if (removal.kind === 'removed') {
    const { kind: _kind, ...removed } = removal;
    return removed;
  }
  const why = {
    task_open: `is ${removal.state}: only a task that has ended can be removed. \`longhaul cancel ${shortId(taskId)}\` ends it.`,
    session_at_work: 'belongs to a session in which another task is at work: remove it after that task has ended.',
    change_decided: `has a change that is being applied or undone: \`longhaul apply ${shortId(taskId)}\` waits for the end.`,
  };
  throw new LonghaulError(removal.why, `Task ${taskId} ${why[removal.why]}`);
}
