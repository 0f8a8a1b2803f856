/** Reads and inserts sessions and their chats, for the submission of a task and for lists. */
import type { ChatId, ProjectId, SessionId, TaskId } from '../contract/ids.ts';
import type { TaskState } from '../contract/task.ts';
import { cutPage, isAfter, isoTime, type Page, pageColumn, pageEnd, type PageRange, shownText } from './pages.ts';
import type { Db, Tx } from './sql.ts';
import { tokenCount } from './token-count.ts';
import { wellFormedText } from './well-formed.ts';

export async function findSession(
  db: Db,
  id: SessionId,
): Promise<{ readonly projectId: ProjectId | null } | undefined> {
  const [row] = await db<{ projectId: ProjectId | null }[]>`
    SELECT project_id AS "projectId" FROM sessions WHERE id = ${id}`;
  return row;
}

/** Returns those of the sessions that exist and are not closed. */
export async function openSessions(db: Db, ids: readonly SessionId[]): Promise<ReadonlySet<SessionId>> {
  const rows = await db<{ id: SessionId }[]>`
    SELECT id FROM sessions WHERE id = ANY (${[...ids]}) AND coalesce(status, 'open') NOT IN ('closed', 'archived')`;
  return new Set(rows.map((row) => row.id));
}

/** Returns the agent of the session's newest task that names one. */
export async function newestAgent(db: Db, id: SessionId): Promise<string | undefined> {
  const [row] = await db<{ agent: string }[]>`
    SELECT agent FROM tasks WHERE session_id = ${id} AND agent IS NOT NULL
     ORDER BY created_at DESC NULLS LAST, id DESC LIMIT 1`;
  return row?.agent;
}

/** Returns the session and the state of a task. */
export async function taskPlace(
  db: Db,
  id: TaskId,
): Promise<{ readonly sessionId: SessionId | null; readonly state: TaskState } | undefined> {
  const [row] = await db<{ sessionId: SessionId | null; state: TaskState }[]>`
    SELECT session_id AS "sessionId", state FROM tasks WHERE id = ${id}`;
  return row;
}

/** Returns the newest task of the session; undefined if the session has none. */
export async function newestTask(db: Db, id: SessionId): Promise<TaskId | undefined> {
  const [row] = await db<{ id: TaskId }[]>`
    SELECT id FROM tasks WHERE session_id = ${id} ORDER BY created_at DESC NULLS LAST, id DESC LIMIT 1`;
  return row?.id;
}

export async function isChatOfSession(db: Db, chatId: ChatId, sessionId: SessionId): Promise<boolean> {
  const rows = await db`SELECT FROM chats WHERE id = ${chatId} AND session_id = ${sessionId}`;
  return rows.length > 0;
}

export interface ChatView {
  readonly id: ChatId;
  readonly name: string | null;
  readonly status: string | null;
  readonly created_at: string | null;
}

const MAX_CHATS = 1_000;

/** Returns the chats of the session, the oldest first. */
export async function chatsOf(db: Db, sessionId: SessionId): Promise<ChatView[]> {
  return [
    ...(await db<ChatView[]>`
      SELECT t.id, ${shownText(db, 't', 'name', 'status')} ${isoTime(db, 'created_at')} FROM chats t
       WHERE t.session_id = ${sessionId} ORDER BY t.created_at, t.id LIMIT ${MAX_CHATS}`),
  ];
}

export async function newestOpenChat(db: Db, sessionId: SessionId): Promise<ChatId | undefined> {
  const [row] = await db<{ id: ChatId }[]>`
    SELECT id FROM chats WHERE session_id = ${sessionId} AND status = 'open'
     ORDER BY created_at DESC NULLS LAST, id DESC LIMIT 1`;
  return row?.id;
}

export async function addSession(
  db: Db,
  session: { id: SessionId; projectId: ProjectId | null; name: string; model: string | null },
): Promise<void> {
  await db`
    INSERT INTO sessions (id, project_id, name, model, status)
    VALUES (${session.id}, ${session.projectId}, ${wellFormedText(session.name)}, ${session.model}, 'open')
    ON CONFLICT (id) DO NOTHING`;
}

/**
 * Locks the session's row until the transaction ends. So two transactions that both find no chat in the session create
 * one chat, not two.
 */
export async function lockSession(tx: Tx, id: SessionId): Promise<void> {
  await tx`SELECT FROM sessions WHERE id = ${id} FOR UPDATE`;
}

export async function addChat(db: Db, chat: { id: ChatId; sessionId: SessionId; name: string }): Promise<void> {
  await db`
    INSERT INTO chats (id, session_id, name, status, created_at)
    VALUES (${chat.id}, ${chat.sessionId}, ${chat.name}, 'open', clock_timestamp()) ON CONFLICT (id) DO NOTHING`;
}

export interface SessionView {
  readonly id: SessionId;
  readonly project_id: ProjectId | null;
  readonly name: string | null;
  readonly model: string | null;
  readonly status: string | null;
  /** The number of the last frame of the session's log. */
  readonly seq: number;
  /** The number of tasks that wait or run. */
  readonly open_tasks: number;
  /** The sum of the tokens of all its messages. Null if no agent has reported a count. */
  readonly cost_tokens: number | null;
  readonly created_at: string | null;
}

export async function sessionPage(
  db: Db,
  { projectId }: { readonly projectId?: ProjectId },
  range: PageRange,
): Promise<Page<SessionView>> {
  const rows = await db<(SessionView & { readonly page_at: number })[]>`
    SELECT t.id, t.project_id, ${shownText(db, 't', 'name', 'model', 'status')} t.seq, ${isoTime(db, 'created_at')}, ${pageColumn(db)},
           (SELECT count(*) FROM tasks o WHERE o.session_id = t.id AND o.state IN ('pending', 'running')) AS open_tasks,
           (SELECT ${tokenCount(db, db`sum(m.tokens_used)`)} FROM messages m WHERE m.session_id = t.id) AS cost_tokens
      FROM sessions t
     WHERE ${isAfter(db, range)} AND ${projectId ? db`t.project_id = ${projectId}` : db`true`}
     ${pageEnd(db, range)}`;
  return cutPage(rows, range);
}
