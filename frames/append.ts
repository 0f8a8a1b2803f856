/**
 * Frames of steps. Each carries a key: a step that runs again finds its frames and adds none. Agents'
 * frames go through the writer instead, which is fenced by attempt.
 */
import type { Tx } from '../store/sql.ts';
import type { SessionId, TaskId } from '../workflows/contract.ts';
import { type FrameBody, FRAMES_CHANNEL, frameJson } from './frame.ts';

export interface KeyedFrame {
  /** Unique within the session for all time, e.g. `<task id>:finished`. */
  readonly key: string;
  readonly taskId?: TaskId;
  readonly body: FrameBody;
}

/** Adds those frames whose key the session does not have yet, in the given order. Locks the session's row. */
export async function appendKeyed(tx: Tx, sessionId: SessionId, frames: readonly KeyedFrame[]): Promise<void> {
  const locked = await tx`SELECT seq FROM sessions WHERE id = ${sessionId} FOR UPDATE`;
  if (locked.length === 0) return;
  const keys = frames.map((frame) => frame.key);
  const known = await tx<{ key: string }[]>`
    SELECT key FROM frames WHERE session_id = ${sessionId} AND key = ANY (${keys})`;
  const missing = frames.filter((frame) => !known.some((row) => row.key === frame.key));
  if (missing.length === 0) return;
  await tx`
    WITH moved AS (
      UPDATE sessions SET seq = seq + ${missing.length} WHERE id = ${sessionId} RETURNING seq - ${missing.length} AS before, seq AS last
    ), added AS (
      INSERT INTO frames (session_id, seq, type, task_id, body, key)
      SELECT ${sessionId}, moved.before + f.ord, f.type, f.task_id, f.body::jsonb, f.key
        FROM moved, unnest(
          ${missing.map((_, index) => index + 1)}::int[],
          ${missing.map((frame) => frame.body.type)}::text[],
          ${missing.map((frame) => frame.taskId ?? null)}::uuid[],
          ${missing.map((frame) => bodyJson(frame.body))}::text[],
          ${missing.map((frame) => frame.key)}::text[]
        ) AS f (ord, type, task_id, body, key)
    )
    SELECT pg_notify(${FRAMES_CHANNEL}, ${sessionId} || ' ' || last) FROM moved`;
}

/** A body without its type: that has a column of its own. */
export function bodyJson(body: FrameBody): string {
  const { type: _type, ...fields } = body;
  return frameJson(fields);
}
