/** Stores messages. The assistant's message is `streaming` until the last transaction of its turn, or of its task. */
import type { ChatId, MessageId, SessionId, TaskId } from '../contract/ids.ts';
import type { MessageSegment, PlanEntry, ToolCall } from '../contract/vocabulary.ts';
import type { Db, Tx } from './sql.ts';
import { wellFormed, wellFormedText } from './well-formed.ts';

export interface FinishedMessage {
  readonly id: MessageId;
  readonly status: 'complete' | 'failed' | 'cancelled';
  readonly content: string;
  readonly totalChars: number;
  readonly reasoning: string;
  readonly toolCalls: readonly ToolCall[];
  readonly plan?: readonly PlanEntry[] | undefined;
  readonly segments: readonly MessageSegment[];
  readonly tokensUsed?: number | undefined;
}

/**
 * Stores the content of a finished message. Returns false and changes nothing if the message had been finished before.
 */
export async function finishMessage(tx: Tx, message: FinishedMessage): Promise<boolean> {
  const rows = await tx`
    UPDATE messages
       SET content = ${wellFormedText(message.content)}, reasoning = ${wellFormedText(message.reasoning) || null},
           tool_calls = ${message.toolCalls.length > 0 ? tx.json(wellFormed(message.toolCalls) as never) : null},
           plan = ${message.plan ? tx.json(wellFormed(message.plan) as never) : null},
           segments = ${tx.json(wellFormed(message.segments) as never)},
           truncated = ${message.totalChars > message.content.length}, total_chars = ${message.totalChars},
           tokens_used = ${message.tokensUsed ?? null}, status = ${message.status}, finished_at = clock_timestamp()
     WHERE id = ${message.id} AND status = 'streaming'
    RETURNING id`;
  return rows.length > 0;
}

/** Returns the chat of a message that is still streaming. */
export async function chatOfStreamingMessage(tx: Tx, id: MessageId): Promise<ChatId | undefined> {
  const [row] = await tx<{ chat_id: ChatId }[]>`
    SELECT chat_id FROM messages WHERE id = ${id} AND status = 'streaming' FOR UPDATE`;
  return row?.chat_id;
}

export async function addUserMessage(
  db: Db,
  message: { id: MessageId; sessionId: SessionId; chatId: ChatId; taskId: TaskId; content: string },
): Promise<void> {
  await db`
    INSERT INTO messages (id, session_id, chat_id, task_id, role, content, status, created_at, finished_at)
    VALUES (${message.id}, ${message.sessionId}, ${message.chatId}, ${message.taskId}, 'user', ${message.content},
            'complete', clock_timestamp(), clock_timestamp())
    ON CONFLICT (id) DO NOTHING`;
}

/** Inserts the assistant's message. It is empty until the last transaction of the turn or of the task. */
export async function addAssistantMessage(
  db: Db,
  message: { id: MessageId; sessionId: SessionId; chatId: ChatId; taskId: TaskId },
): Promise<void> {
  await db`
    INSERT INTO messages (id, session_id, chat_id, task_id, role, content, status, created_at)
    VALUES (${message.id}, ${message.sessionId}, ${message.chatId}, ${message.taskId}, 'assistant', '', 'streaming', clock_timestamp())
    ON CONFLICT (id) DO NOTHING`;
}

export async function messageText(db: Db, id: MessageId): Promise<string | undefined> {
  const [row] = await db<{ content: string | null }[]>`SELECT content FROM messages WHERE id = ${id}`;
  return row?.content ?? undefined;
}
