/** Stores recordings of terminals: one for each program that the terminal adapter ran for a task. */
import type { TaskId } from '../contract/ids.ts';
import type { Db } from './sql.ts';

export interface StoredRecording {
  /** The file name. The names sort by the time at which the programs started. */
  readonly name: string;
  /** A compressed asciicast. Its end may be cut off. */
  readonly castGzip: Buffer;
}

/** Stores a recording, unless its task's row was deleted. A second call for the same name changes nothing. */
export async function storeRecording(db: Db, taskId: TaskId, { name, castGzip }: StoredRecording): Promise<void> {
  await db`
    INSERT INTO recordings (task_id, name, cast_gzip)
    SELECT id, ${name}, ${castGzip} FROM tasks WHERE id = ${taskId}
    ON CONFLICT (task_id, name) DO NOTHING`;
}

export interface FoundRecording {
  /** The number of recordings that the task has. */
  readonly count: number;
  readonly castGzip: Buffer;
}

/**
 * Returns the recording with this number, counted from 1 in the order of start. Without a number it returns the last
 * recording.
 */
export async function findRecording(db: Db, taskId: TaskId, number?: number): Promise<FoundRecording | undefined> {
  const [row] = await db<{ count: number; cast_gzip: Buffer }[]>`
    WITH numbered AS (
      SELECT name, row_number() OVER (ORDER BY name)::int AS number, count(*) OVER ()::int AS count
        FROM recordings WHERE task_id = ${taskId})
    SELECT n.count, r.cast_gzip FROM numbered n JOIN recordings r ON r.task_id = ${taskId} AND r.name = n.name
     WHERE n.number = coalesce(${number ?? null}::int, n.count)`;
  return row && { count: row.count, castGzip: row.cast_gzip };
}

/**
 * Returns the number of all recordings and their total size in bytes. The query reads only the lengths of the
 * recordings.
 */
export async function recordingsSize(db: Db): Promise<{ count: number; bytes: number }> {
  const [row] = await db<{ count: number; bytes: number }[]>`
    SELECT count(*)::int AS count, coalesce(sum(octet_length(cast_gzip)), 0)::float8 AS bytes FROM recordings`;
  return row ?? { count: 0, bytes: 0 };
}
