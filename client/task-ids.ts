/** Ids of tasks, as programs and people write them. */
import type { Db } from '../store/sql.ts';
import type { TaskId } from '../workflows/contract.ts';
import { parseId, resolveId } from './short-ids.ts';

/** A text as the id that `describe`, `followTask` and `cancel` take. Fails with `invalid_input` for what is no uuid. */
export const taskId = (text: string): TaskId => parseId('task', text);

/** The whole id, or its beginning as far as that is unique. Fails with `task_not_found` or `invalid_input`. */
export const resolveTaskId = (db: Db, text: string): Promise<TaskId> => resolveId(db, 'task', text);
