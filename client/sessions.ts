/** Queries sessions for REST and the CLI. */
import { type SnapshotFrame, takeBoundedSnapshot } from '../frames/snapshot.ts';
import { listSessionSummaries, type SessionFilter, type SessionSummary } from '../store/session-list.ts';
import { sessionPage, type SessionView } from '../store/sessions.ts';
import type { Sql } from '../store/sql.ts';
import type { ProjectId, SessionId } from '../contract/ids.ts';
import { LonghaulError } from '../contract/errors.ts';
import { cursorOf, listPage, type ListPage, type PageRequest, pageRange, rangeBefore } from './pages.ts';

export type { SessionFilter, SessionSummary };

/** Finds sessions. The session with the newest task is the first. */
export async function findSessions({ sql }: { readonly sql: Sql }, filter: SessionFilter): Promise<SessionSummary[]> {
  return listSessionSummaries(sql, filter);
}

/** Lists sessions, the newest first. */
export async function listSessions(
  { sql }: { readonly sql: Sql },
  filter: { readonly projectId?: ProjectId },
  page: PageRequest,
): Promise<ListPage<SessionView>> {
  return listPage(await sessionPage(sql, filter, pageRange(page)), (session) => session);
}

/** The state of a session as of the frame `seq`. A follower that continues from `seq` misses no frame. */
export interface SessionTimeline extends Omit<SnapshotFrame, 'type' | 'session_id' | 'task_id'> {
  /** The value of `before` for the page of older messages. Null if there are none. */
  readonly messages_before: string | null;
  /** True if older tasks or changes are omitted. `pageOfTasks` and `listChanges` list all of them. */
  readonly tasks_truncated: boolean;
  readonly changes_truncated: boolean;
}

export interface TimelineRequest {
  /** The maximum number of messages. */
  readonly limit: number;
  /** `messages_before` of an earlier response. */
  readonly before?: string;
}

/**
 * Returns the session with its newest messages, tasks and changes. Fails with `session_not_found`, and with
 * `invalid_input` for a bad `before`.
 */
export async function getSession(
  { sql }: { readonly sql: Sql },
  id: SessionId,
  { limit, before }: TimelineRequest,
): Promise<SessionTimeline> {
  const bounded = await takeBoundedSnapshot(sql, id, rangeBefore(limit, before, 'messages_before'));
  if (!bounded) throw new LonghaulError('session_not_found', `There is no session ${id}.`);
  const { type: _type, session_id: _id, task_id: _task, ...timeline } = bounded.snapshot;
  return {
    ...timeline,
    messages_before: cursorOf(bounded.next),
    tasks_truncated: bounded.tasksTruncated,
    changes_truncated: bounded.changesTruncated,
  };
}
