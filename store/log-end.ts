/** Where a session's log ends. */
import type { SessionId } from '../contract/ids.ts';
import type { Db } from './sql.ts';

/**
 * For a statement that updates the session's row, which the transaction has locked before it. Each number is used once,
 * although a program may have set `seq` back, or inserted the session's row again.
 */
export const logEnd = (db: Db, sessionId: SessionId) => db`
  greatest(seq, (SELECT max(f.seq) FROM frames f WHERE f.session_id = ${sessionId}))`;
