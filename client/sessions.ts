/** What can be asked about sessions. */
import { type SnapshotFrame, takeSnapshot } from '../frames/snapshot.ts';
import { listSessionSummaries, type SessionFilter, type SessionSummary } from '../store/session-list.ts';
import { sessionPage, type SessionView } from '../store/sessions.ts';
import type { Sql } from '../store/sql.ts';
import type { ProjectId, SessionId } from '../workflows/contract.ts';
import { LonghaulError } from '../workflows/errors.ts';
import { listPage, type ListPage, type PageRequest, pageWish } from './pages.ts';

export type { SessionFilter, SessionSummary };

/** The session with the newest task first. */
export async function findSessions({ sql }: { readonly sql: Sql }, filter: SessionFilter): Promise<SessionSummary[]> {
  return listSessionSummaries(sql, filter);
}

/** Newest first. */
export async function listSessions(
  { sql }: { readonly sql: Sql },
  filter: { readonly projectId?: ProjectId },
  page: PageRequest,
): Promise<ListPage<SessionView>> {
  return listPage(await sessionPage(sql, filter, pageWish(page)), (session) => session);
}

/** A session as it stands at the frame `seq`: whoever follows its log from there misses nothing. */
export type SessionTimeline = Omit<SnapshotFrame, 'type' | 'session_id' | 'task_id'>;

/** Fails with `session_not_found`. */
export async function getSession({ sql }: { readonly sql: Sql }, id: SessionId): Promise<SessionTimeline> {
  const snapshot = await takeSnapshot(sql, id);
  if (!snapshot) throw new LonghaulError('session_not_found', `There is no session ${id}.`);
  const { type: _type, session_id: _id, task_id: _task, ...timeline } = snapshot;
  return timeline;
}
