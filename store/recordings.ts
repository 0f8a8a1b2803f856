/** Recordings of terminals, one for each program that the terminal adapter ran for a task. */
import type { TaskId } from '../contract/ids.ts';
import type { Db } from './sql.ts';

export interface StoredRecording {
  /** Names sort by the time of the program's start. */
  readonly name: string;
  /** An asciicast, compressed; its end may be cut off. */
  readonly castGzip: Buffer;
}

/** Without its task's row nothing is stored. Stored twice it is stored once. */
export async function storeRecording(db: Db, taskId: TaskId, { name, castGzip }: StoredRecording): Promise<void> {
  await db`
    INSERT INTO recordings (task_id, name, cast_gzip)
    SELECT id, ${name}, ${castGzip} FROM tasks WHERE id = ${taskId}
    ON CONFLICT (task_id, name) DO NOTHING`;
}

export interface FoundRecording {
  /** How many the task has. */
  readonly count: number;
  readonly castGzip: Buffer;
}

/** The one of this number, from 1 in order of start; without a number the last. */
export async function findRecording(db: Db, taskId: TaskId, number?: number): Promise<FoundRecording | undefined> {
  const [row] = await db<{ count: number; cast_gzip: Buffer }[]>`
    WITH numbered AS (
      SELECT name, row_number() OVER (ORDER BY name)::int AS number, count(*) OVER ()::int AS count
        FROM recordings WHERE task_id = ${taskId})
    SELECT n.count, r.cast_gzip FROM numbered n JOIN recordings r ON r.task_id = ${taskId} AND r.name = n.name
     WHERE n.number = coalesce(${number ?? null}::int, n.count)`;
  return row && { count: row.count, castGzip: row.cast_gzip };
}

/** How many recordings there are and how many bytes they take. Reads their lengths only. */
export async function recordingsSize(db: Db): Promise<{ count: number; bytes: number }> {
  const [row] = await db<{ count: number; bytes: number }[]>`
    SELECT count(*)::int AS count, coalesce(sum(octet_length(cast_gzip)), 0)::float8 AS bytes FROM recordings`;
  return row ?? { count: 0, bytes: 0 };
}
