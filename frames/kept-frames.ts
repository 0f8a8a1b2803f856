/**
 * Reads the frames of a task that stay in the log and that a snapshot's messages do not contain, such as warnings,
 * states and permission requests.
 */
import type { Db } from '../store/sql.ts';
import type { SessionId, TaskId } from '../contract/ids.ts';
import { STREAMED_FRAME_TYPES } from './compact.ts';
import { frameIn, frameTime } from './frame-in.ts';
import type { Frame } from '../contract/frame.ts';

/**
 * Frame types that describe only the present state of the session. So `keptFrames` omits them from the history of a
 * task.
 */
const PRESENT_STATE_TYPES = ['usage', 'agent_commands'];

interface FrameRow {
  readonly seq: number;
  readonly at: Date;
  readonly type: string;
  readonly body: unknown;
}

/** Returns the frames up to the number `upTo`, the oldest first. */
export async function keptFrames(
  db: Db,
  { sessionId, taskId, upTo }: { sessionId: SessionId; taskId: TaskId; upTo: number },
): Promise<Frame[]> {
  const rows = await db<FrameRow[]>`
    SELECT seq, at, type, body FROM frames
     WHERE session_id = ${sessionId} AND task_id = ${taskId} AND seq <= ${upTo} AND type <> ALL (${[...STREAMED_FRAME_TYPES, ...PRESENT_STATE_TYPES]})
     ORDER BY seq`;
  return rows.flatMap(
    ({ at, ...row }) => frameIn({ ...row, session_id: sessionId, task_id: taskId, at: frameTime(at) }) ?? [],
  );
}
