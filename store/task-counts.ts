/** Counts tasks. */
import type { Db } from './sql.ts';

export interface TaskCounts {
  readonly states: readonly { readonly state: string | null; readonly count: number }[];
  /** The age of the oldest pending task, in seconds. 0 if no task waits. */
  readonly oldestPendingS: number;
}

export async function countTasks(db: Db): Promise<TaskCounts> {
  const [states, [oldest]] = await Promise.all([
    db<{ state: string | null; count: number }[]>`SELECT state, count(*) AS count FROM tasks GROUP BY state`,
    db<{ age: number }[]>`
      SELECT coalesce(extract(epoch FROM clock_timestamp() - min(created_at)), 0)::float8 AS age FROM tasks WHERE state = 'pending' AND isfinite(created_at)`,
  ]);
  return { states: [...states], oldestPendingS: oldest?.age ?? 0 };
}
