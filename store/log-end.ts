/** The SQL expression for the end of a session's log. */
import type { SessionId } from '../contract/ids.ts';
import type { Db } from './sql.ts';

/**
 * SQL: the number of the log's last frame, for a statement that updates the session's row. The transaction must have
 * locked that row before. The result is the greater of `seq` and the highest number of a frame, because a program may
 * have set `seq` back or inserted the session's row again. So no number is used twice.
 */
export const logEnd = (db: Db, sessionId: SessionId) => db`
  greatest(seq, (SELECT max(f.seq) FROM frames f WHERE f.session_id = ${sessionId}))`;
