/**
 * Compacts the frame log: the frames in which a message was streamed are removed when the message's row contains their
 * content. One statement removes the beginning of a session's log and raises `compacted_seq`, so that a follower sees
 * both changes or neither. A follower whose position is below `compacted_seq` gets a snapshot.
 *
 * Must never happen: a frame is removed that a snapshot needs, that a step looks for by its key when the step is
 * executed again, or that a follower above `compacted_seq` has not received. So compaction stops before the first frame
 * of a message that is not finished, or that was finished less than a minute ago. The minute lets a reader that was
 * disconnected briefly continue from its cursor.
 *
 * If the process is killed, only whole batches have been removed. Two compactions at the same time do no harm; the lock
 * only avoids double work.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { tryLock } from '../store/advisory-lock.ts';
import type { Sql } from '../store/sql.ts';
import type { SessionId } from '../contract/ids.ts';

/** The number of seconds that frames stay after the end of their message. */
const KEEP_SECONDS = 60;
/**
 * The number of frames that one statement reads. Such a statement takes about 20 ms, and locks the session's row only
 * at its end.
 */
const BATCH_FRAMES = 2_000;
/** The frame types whose content the row of a finished message contains. */
export const STREAMED_FRAME_TYPES = ['delta', 'reasoning_delta', 'tool_call', 'plan'];

export interface Compaction {
  /** The number of sessions from which frames were removed. */
  readonly sessions: number;
  readonly frames: number;
}

/**
 * Compacts the log of all sessions. Returns `undefined` if another process is compacting. After each batch the function
 * pauses for as long as the batch took.
 */
export async function compactFrames(sql: Sql, signal?: AbortSignal): Promise<Compaction | undefined> {
  // A transaction is used here, not a reserved connection. A reserved connection would never respond again if Postgres
  // stopped meanwhile.
  return sql.begin(async (tx) => {
    if (!(await tryLock(tx, 'compact_frames'))) return undefined;
    let sessions = 0;
    let frames = 0;
    for (const sessionId of await sessionsToCompact(sql)) {
      const removed = await compactSession(sql, sessionId, signal);
      sessions += removed > 0 ? 1 : 0;
      frames += removed;
    }
    return { sessions, frames };
  });
}

/**
 * Returns the sessions that have streamed frames above `compacted_seq`. The query makes two index lookups for each
 * session that was written to since its last compaction.
 */
async function sessionsToCompact(sql: Sql): Promise<SessionId[]> {
  const rows = await sql<{ id: SessionId }[]>`
    SELECT s.id FROM sessions s
      CROSS JOIN LATERAL (SELECT FROM frames f WHERE f.session_id = s.id AND f.seq > s.compacted_seq
                             AND f.type = ANY (${STREAMED_FRAME_TYPES}) ORDER BY f.seq LIMIT 1) streamed
     WHERE s.seq > s.compacted_seq`;
  return rows.map(({ id }) => id);
}

async function compactSession(sql: Sql, sessionId: SessionId, signal: AbortSignal | undefined): Promise<number> {
  let removed = 0;
  for (;;) {
    if (signal?.aborted) return removed;
    const began = performance.now();
    const batch = await compactBatch(sql, sessionId);
    removed += batch.removed;
    if (!batch.more) return removed;
    await delay(performance.now() - began, undefined, signal && { signal }).catch(() => undefined);
  }
}

/**
 * Compacts one batch of a session's log. In the statement, `ahead` is the next part of the log, and `cut` is the number
 * up to which frames are removed. `cut` is below the first frame that is too new or of an unfinished message. It is the
 * number of a streamed frame, so that a reader that has all streamed frames needs no snapshot.
 */
async function compactBatch(sql: Sql, sessionId: SessionId): Promise<{ removed: number; more: boolean }> {
  const [row] = await sql<{ removed: number; more: boolean }[]>`
    WITH log AS (
      SELECT id, compacted_seq FROM sessions WHERE id = ${sessionId}
    ), ahead AS MATERIALIZED (
      SELECT f.seq, f.at, f.type = ANY (${STREAMED_FRAME_TYPES}) AS streamed, f.body ->> 'message_id' AS message_id
        FROM log CROSS JOIN LATERAL (
          SELECT * FROM frames WHERE session_id = log.id AND seq > log.compacted_seq ORDER BY seq LIMIT ${BATCH_FRAMES}
        ) f
    ), unfinished AS (
      SELECT id::text AS message_id FROM messages
       WHERE session_id = ${sessionId} AND (status = 'streaming' OR finished_at > now() - ${KEEP_SECONDS} * interval '1 second')
    ), bound AS (
      SELECT min(seq) AS seq FROM ahead
       WHERE at > now() - ${KEEP_SECONDS} * interval '1 second' OR message_id IN (SELECT message_id FROM unfinished)
    ), cut AS (
      SELECT CASE WHEN bound.seq IS NULL AND count(*) = ${BATCH_FRAMES} THEN max(a.seq)
                  ELSE max(a.seq) FILTER (WHERE a.streamed AND a.seq < coalesce(bound.seq, a.seq + 1)) END AS seq
        FROM bound CROSS JOIN ahead a GROUP BY bound.seq
    ), streamed AS (
      DELETE FROM frames f USING log, cut
       WHERE f.session_id = log.id AND f.seq > log.compacted_seq AND f.seq <= cut.seq
         AND f.type = ANY (${STREAMED_FRAME_TYPES}) AND f.key IS NULL
      RETURNING 1
    -- A snapshot shows the session's newest of these. Written as literals, like their index.
    ), latest AS (
      DELETE FROM frames f USING cut
       WHERE f.session_id = ${sessionId} AND f.type IN ('agent_commands', 'usage') AND f.seq <= cut.seq AND f.key IS NULL
         AND EXISTS (SELECT FROM frames n WHERE n.session_id = f.session_id AND n.type = f.type AND n.seq > f.seq
                        AND n.type IN ('agent_commands', 'usage'))
      RETURNING 1
    ), raised AS (
      UPDATE sessions s SET compacted_seq = cut.seq FROM cut WHERE s.id = ${sessionId} AND s.compacted_seq < cut.seq
      RETURNING 1
    )
    SELECT (SELECT count(*) FROM streamed) + (SELECT count(*) FROM latest) AS removed,
           (SELECT count(*) FROM raised) > 0 AND (SELECT count(*) FROM ahead) = ${BATCH_FRAMES} AS more`;
  return row ?? { removed: 0, more: false };
}
