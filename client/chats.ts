/** Lists and creates the chats of a session. Each chat keeps its own conversation with each agent. */
import { randomUUID } from 'node:crypto';
import { shorten } from '../contract/cut-text.ts';
import type { ChatId, SessionId } from '../contract/ids.ts';
import { addChat, type ChatView, chatsOf, findSession } from '../store/sessions.ts';
import type { Sql } from '../store/sql.ts';
import { wellFormedText } from '../store/well-formed.ts';
import { notFoundError, parseId } from './short-ids.ts';

interface Deps {
  readonly sql: Sql;
}

const NAME_CHARS = 200;

/** Lists the chats of a session, the oldest first. Fails with `session_not_found`. */
export async function listChats({ sql }: Deps, id: SessionId): Promise<ChatView[]> {
  const sessionId = parseId('session', id);
  if (!(await findSession(sql, sessionId))) throw notFoundError('session', sessionId);
  return chatsOf(sql, sessionId);
}

/** Creates a chat. Fails with `session_not_found`. */
export async function createChat({ sql }: Deps, id: SessionId, name: string): Promise<ChatView> {
  const sessionId = parseId('session', id);
  if (!(await findSession(sql, sessionId))) throw notFoundError('session', sessionId);
  const chatId = randomUUID() as ChatId;
  await addChat(sql, { id: chatId, sessionId, name: shorten(wellFormedText(name), NAME_CHARS) });
  const chat = (await chatsOf(sql, sessionId)).find((one) => one.id === chatId);
  if (!chat) throw notFoundError('session', sessionId);
  return chat;
}
