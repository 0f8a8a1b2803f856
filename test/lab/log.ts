/** Sessions and frames that a test writes by itself, as steps and the frame writer do. */
import { randomUUID } from 'node:crypto';
import { appendKeyed } from '../../store/append-frames.ts';
import type { FrameBody } from '../../contract/frame.ts';
import type { Sql } from '../../store/sql.ts';
import type { ChatId, MessageId, SessionId, TaskId } from '../../contract/ids.ts';

export interface LabMessage {
  readonly sessionId: SessionId;
  readonly chatId: ChatId;
  readonly messageId: MessageId;
  readonly taskId: TaskId;
}

/** A session with one chat, a task and its streaming message. */
export async function labSession(sql: Sql, state = 'running'): Promise<LabMessage> {
  const message = {
    sessionId: randomUUID() as SessionId,
    chatId: randomUUID() as ChatId,
    messageId: randomUUID() as MessageId,
    taskId: randomUUID() as TaskId,
  };
  const { sessionId, chatId, messageId, taskId } = message;
  await sql`INSERT INTO sessions (id, name) VALUES (${sessionId}, 'lab')`;
  await sql`INSERT INTO chats (id, session_id, name) VALUES (${chatId}, ${sessionId}, 'lab')`;
  await sql`INSERT INTO tasks (id, project_id, input, session_id, state, claimed_at)
            VALUES (${taskId}, ${randomUUID()}, 'lab', ${sessionId}, ${state}, now())`;
  await sql`INSERT INTO messages (id, session_id, chat_id, task_id, role, content, status)
            VALUES (${messageId}, ${sessionId}, ${chatId}, ${taskId}, 'assistant', '', 'streaming')`;
  return message;
}

export function delta({ messageId, chatId }: LabMessage, content: string): FrameBody {
  return { type: 'delta', message_id: messageId, chat_id: chatId, content };
}

export async function append(sql: Sql, at: LabMessage, bodies: readonly FrameBody[]): Promise<void> {
  await sql.begin((tx) =>
    appendKeyed(
      tx,
      at.sessionId,
      bodies.map((body) => ({ key: randomUUID(), taskId: at.taskId, body })),
    ),
  );
}
