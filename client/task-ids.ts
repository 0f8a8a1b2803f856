/** Ids of tasks, as programs and people write them. */
import { taskOf } from '../store/short-ids.ts';
import type { Db } from '../store/sql.ts';
import type { TaskId } from '../contract/ids.ts';
import { findId, missing, parseId } from './short-ids.ts';

/** Parses a text as the id for `describe`, `followTask` and `cancel`. Fails with `invalid_input` for a text that is no uuid. */
export const taskId = (text: string): TaskId => parseId('task', text);

/**
 * The whole id, or its beginning as far as that is unique; also of the task's change, or of a permission that it asked
 * for. Fails with `task_not_found` or `invalid_input`.
 */
export async function resolveTaskId(db: Db, text: string): Promise<TaskId> {
  const id = await findId(db, 'task', text);
  if (id !== undefined) return id;
  for (const kind of ['change', 'permission'] as const) {
    const other = await findId(db, kind, text);
    const task = other && (await taskOf(db, kind, other));
    if (task) return task;
  }
  throw missing('task', text);
}
