/** Returns the terminal recordings of a task. */
import { constants, gunzipSync } from 'node:zlib';
import type { TaskId } from '../contract/ids.ts';
import { LonghaulError } from '../contract/errors.ts';
import { findRecording } from '../store/recordings.ts';
import type { Db } from '../store/sql.ts';

export interface TaskRecording {
  readonly count: number;
  /**
   * An asciicast, version 2: the first line is a JSON header with the terminal's size; each further line is an event.
   */
  readonly cast: string;
}

/**
 * Returns the recording with this number, or the last recording if no number is given. Fails with
 * `recording_not_found`.
 */
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
  // The text after the last line end is cut off, because a program that was killed may have left an incomplete line.
  return { count: found.count, cast: text.slice(0, text.lastIndexOf('\n') + 1) };
}
