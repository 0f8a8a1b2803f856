/**
 * Compaction: what a message was streamed in goes once its row holds it. It takes a beginning of a session's log and
 * raises `compacted_seq` in the same statement, so that a follower sees both or neither; one that is below gets a
 * snapshot.
 *
 * Must never happen: a frame goes that a snapshot needs, that a step would look for (those with a key), or that a
 * follower above `compacted_seq` has not had. So it ends before the first frame of a message that is not finished, or
 * has been for less than a minute: a reader that was cut off for a moment goes on from its cursor.
 *
 * Killed at any moment it leaves whole batches. Two at once do no harm; the lock only saves the work.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { Sql } from '../store/sql.ts';
import type { SessionId } from '../workflows/contract.ts';

const ADVISORY_LOCK = 4_706_004;
/** After the end of their message. */
const KEEP_SECONDS = 60;
/** Looked at in one statement: some 20 ms, in which the session's row is locked for the last of them only. */
const BATCH_FRAMES = 2_000;
/** What a finished message's row holds. */
export const STREAMED = ['delta', 'reasoning_delta', 'tool_call', 'plan'];

export interface Compaction {
  /** Sessions of which something was removed. */
  readonly sessions: number;
  readonly frames: number;
}

/** `undefined`: another process is at it. Pauses between batches for as long as they take. */
export async function compactFrames(sql: Sql, signal?: AbortSignal): Promise<Compaction | undefined> {
  // A transaction, not a reserved connection: that one would never answer again if Postgres went away meanwhile.
  return sql.begin(async (tx) => {
    const [lock] = await tx<{ taken: boolean }[]>`SELECT pg_try_advisory_xact_lock(${ADVISORY_LOCK}) AS taken`;
    if (!lock?.taken) return undefined;
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

/** Those with something streamed above `compacted_seq`: two looks at an index for each session that was written to since. */
async function sessionsToCompact(sql: Sql): Promise<SessionId[]> {
  const rows = await sql<{ id: SessionId }[]>`
    SELECT s.id FROM sessions s
      CROSS JOIN LATERAL (SELECT FROM frames f WHERE f.session_id = s.id AND f.seq > s.compacted_seq
                             AND f.type = ANY (${STREAMED}) ORDER BY f.seq LIMIT 1) streamed
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
 * `ahead` is the next part of the log, `cut` the number up to which it goes: below the first frame that is young or of
 * an unfinished message, and at the last streamed one, so that who has all of them needs no snapshot.
 */
async function compactBatch(sql: Sql, sessionId: SessionId): Promise<{ removed: number; more: boolean }> {
  const [row] = await sql<{ removed: number; more: boolean }[]>`
    WITH log AS (
      SELECT id, compacted_seq FROM sessions WHERE id = ${sessionId}
    ), ahead AS MATERIALIZED (
      SELECT f.seq, f.at, f.type = ANY (${STREAMED}) AS streamed, f.body ->> 'message_id' AS message_id
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
         AND f.type = ANY (${STREAMED}) AND f.key IS NULL
      RETURNING 1
    -- Of these a snapshot shows the session's newest. Spelled out, as their index is.
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
