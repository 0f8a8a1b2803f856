/** Converts the text of a task id, as programs and users write it, to a `TaskId`. */
import { taskOf } from '../store/short-ids.ts';
import type { Db } from '../store/sql.ts';
import type { TaskId } from '../contract/ids.ts';
import { findId, notFoundError, parseId } from './short-ids.ts';

/**
 * Returns the text as a task's id, as `describe`, `followTask` and `cancel` take it. Fails with `invalid_input` if the
 * text is no uuid.
 */
export const taskId = (text: string): TaskId => parseId('task', text);

/**
 * Resolves a whole id or a unique beginning. The id may be the task's, or that of its change or of one of its
 * permission requests. Fails with `task_not_found` or `invalid_input`.
 */
export async function resolveTaskId(db: Db, text: string): Promise<TaskId> {
  const id = await findId(db, 'task', text);
  if (id !== undefined) return id;
  for (const kind of ['change', 'permission'] as const) {
    const other = await findId(db, kind, text);
    const task = other && (await taskOf(db, kind, other));
    if (task) return task;
  }
  throw notFoundError('task', text);
}
