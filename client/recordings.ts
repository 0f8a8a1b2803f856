/** The recordings of a task's terminal. */
import { constants, gunzipSync } from 'node:zlib';
import type { TaskId } from '../contract/ids.ts';
import { LonghaulError } from '../contract/errors.ts';
import { findRecording } from '../store/recordings.ts';
import type { Db } from '../store/sql.ts';

export interface TaskRecording {
  readonly count: number;
  /** An asciicast (version 2): a line of JSON with the size, then a line for each event. */
  readonly cast: string;
}

/** Without a number the last. Fails with `recording_not_found`. */
export async function getRecording(
  { sql }: { readonly sql: Db },
  taskId: TaskId,
  number?: number,
): Promise<TaskRecording> {
  const found = await findRecording(sql, taskId, number);
  if (!found) {
    const which = number === undefined ? 'no recording' : `no recording ${number}`;
    const message = `Task ${taskId} has ${which}: expected a task whose agent ran in a terminal and that has ended.`;
    throw new LonghaulError('recording_not_found', message);
  }
  const bytes = gunzipSync(found.castGzip, { finishFlush: constants.Z_SYNC_FLUSH });
  const text = bytes.toString('utf8');
  // The last line of a program that was killed may not be whole.
  return { count: found.count, cast: text.slice(0, text.lastIndexOf('\n') + 1) };
}
