/**
 * Appends the frames of steps. Each frame has a key, so a step that runs again finds its frames and adds none. Agents'
 * frames are appended by the frame writer instead, which checks the attempt's fence.
 */
import { logEnd } from './log-end.ts';
import type { Tx } from './sql.ts';
import type { SessionId, TaskId } from '../contract/ids.ts';
import type { FrameBody } from '../contract/frame.ts';
import { FRAMES_CHANNEL } from './channels.ts';
import { storedBody } from './stored-body.ts';

export interface KeyedFrame {
  /** Unique within the session for all time, e.g. `<task id>:finished`. */
  readonly key: string;
  readonly taskId?: TaskId;
  readonly body: FrameBody;
}

/** Appends those frames whose key the session does not have yet, in the given order. Locks the session's row. */
export async function appendKeyed(tx: Tx, sessionId: SessionId, frames: readonly KeyedFrame[]): Promise<void> {
  const keys = frames.map((frame) => frame.key);
  // Both statements are sent together and run one after the other. So the second statement sees the rows as they are
  // after the lock was taken.
  const [locked, known] = await Promise.all([
    tx`SELECT seq FROM sessions WHERE id = ${sessionId} FOR UPDATE`,
    tx<{ key: string }[]>`SELECT key FROM frames WHERE session_id = ${sessionId} AND key = ANY (${keys})`,
  ]);
  if (locked.length === 0) return;
  const seen = new Set(known.map((row) => row.key));
  const missing = frames.flatMap(({ key, taskId, body }) => {
    if (seen.has(key)) return [];
    seen.add(key);
    return [{ key, taskId: taskId ?? null, ...storedBody(body) }];
  });
  if (missing.length === 0) return;
  await tx`
    WITH moved AS (
      UPDATE sessions SET seq = ${logEnd(tx, sessionId)} + ${missing.length} WHERE id = ${sessionId} RETURNING seq - ${missing.length} AS before, seq AS last
    ), added AS (
      INSERT INTO frames (session_id, seq, type, task_id, body, key)
      SELECT ${sessionId}, moved.before + f.ord, f.type, f.task_id, f.body::jsonb, f.key
        FROM moved, unnest(
          ${missing.map((_, index) => index + 1)}::int[],
          ${missing.map((frame) => frame.type)}::text[],
          ${missing.map((frame) => frame.taskId)}::uuid[],
          ${missing.map((frame) => frame.json)}::text[],
          ${missing.map((frame) => frame.key)}::text[]
        ) AS f (ord, type, task_id, body, key)
    )
    SELECT pg_notify(${FRAMES_CHANNEL}, ${sessionId} || ' ' || last) FROM moved`;
}
