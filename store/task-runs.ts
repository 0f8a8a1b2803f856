/** Reads tasks by their runs in Temporal. */
import type { TaskId } from '../contract/ids.ts';
import type { Db } from './sql.ts';

/** Returns the tasks that are not final and have a run in Temporal. */
export async function startedTasks(db: Db): Promise<TaskId[]> {
  const rows = await db<{ id: TaskId }[]>`
    SELECT id FROM tasks WHERE state IN ('pending', 'running') AND claimed_at IS NOT NULL ORDER BY created_at`;
  return rows.map((row) => row.id);
}
