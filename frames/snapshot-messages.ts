/** Reads messages in the form that a snapshot has. */
import { cutPage, isAfter, type PageKey, type PageRange, pageColumn, pageEnd } from '../store/pages.ts';
import type { Db } from '../store/sql.ts';
import type { ChatId, MessageId, SessionId, TaskId } from '../contract/ids.ts';
import type { MessageSegment, PlanEntry, ToolCall } from '../contract/vocabulary.ts';
import { planIn, segmentsIn, toolCallsIn } from './message-json.ts';
import { foldMessage } from './read-message.ts';

export interface SnapshotMessage {
  readonly message_id: MessageId;
  readonly chat_id: ChatId;
  readonly task_id: TaskId | null;
  readonly role: string;
  readonly status: string;
  readonly content: string;
  readonly reasoning: string;
  readonly tool_calls: readonly ToolCall[];
  readonly plan: readonly PlanEntry[] | null;
  /**
   * The parts of the message in the order of arrival. Null for a user's message, or if the row has no well-formed list.
   */
  readonly segments: readonly MessageSegment[] | null;
  /** The number of UTF-16 units of text that arrived. It is larger than the length of `content` if the text was cut. */
  readonly total_chars: number | null;
  readonly tokens_used: number | null;
  readonly created_at: string | null;
  readonly finished_at: string | null;
}

interface MessageRow {
  readonly id: MessageId;
  readonly chat_id: ChatId;
  readonly task_id: TaskId | null;
  readonly role: string | null;
  readonly status: string | null;
  readonly content: string | null;
  readonly reasoning: string | null;
  readonly tool_calls: unknown;
  readonly plan: unknown;
  readonly segments: unknown;
  readonly total_chars: number | null;
  readonly tokens_used: number | null;
  readonly created_at: Date | null;
  readonly finished_at: Date | null;
}

const columns = (db: Db) => db`
  id, chat_id, task_id, role, status, content, reasoning, tool_calls, plan, segments, total_chars, tokens_used,
  created_at, finished_at`;

/** Returns all messages of a session in their order. */
export async function messagesOf(db: Db, sessionId: SessionId): Promise<SnapshotMessage[]> {
  const rows = await db<MessageRow[]>`
    SELECT ${columns(db)} FROM messages WHERE session_id = ${sessionId} ORDER BY created_at, id`;
  return shown(db, sessionId, rows);
}

/** The maximum size of the rows of a page, in bytes. A page with one message may be larger. */
const PAGE_BYTES = 2 * 1024 * 1024;

export interface MessagePage {
  /** The messages in their order. */
  readonly messages: readonly SnapshotMessage[];
  /** The key of the page of older messages. `undefined` if there are none. */
  readonly next: PageKey | undefined;
}

/**
 * Returns the newest messages, or those before `range.after`: as many as requested, fewer if they are large, but at
 * least one.
 */
export async function messagePage(db: Db, sessionId: SessionId, range: PageRange): Promise<MessagePage> {
  const found = await db<{ id: MessageId; bytes: number; page_at: number }[]>`
    WITH page AS MATERIALIZED (
      SELECT t.id, ${pageColumn(db)} FROM messages t
       WHERE t.session_id = ${sessionId} AND ${isAfter(db, range)} ${pageEnd(db, range)})
    SELECT id, page_at, octet_length(concat(m.content, m.reasoning, m.tool_calls, m.plan, m.segments)) AS bytes
      FROM page JOIN messages m USING (id) ORDER BY page_at DESC, id DESC`;
  let bytes = 0;
  const fitting = found.findIndex((row, index) => (bytes += row.bytes) > PAGE_BYTES && index > 0);
  const limit = fitting < 0 ? range.limit : Math.min(range.limit, fitting);
  const { items, next } = cutPage(found, { limit });
  const ids = items.map(({ id }) => id).toReversed();
  const rows = await db<MessageRow[]>`SELECT ${columns(db)} FROM messages WHERE id = ANY(${ids})`;
  const byId = new Map(rows.map((row) => [row.id, row]));
  const inOrder = ids.flatMap((id) => byId.get(id) ?? []);
  return { messages: await shown(db, sessionId, inOrder), next };
}

async function shown(db: Db, sessionId: SessionId, rows: readonly MessageRow[]): Promise<SnapshotMessage[]> {
  const messages: SnapshotMessage[] = [];
  for (const row of rows) {
    const streamed = row.status === 'streaming' ? await foldMessage(db, { sessionId, messageId: row.id }) : undefined;
    messages.push({
      message_id: row.id,
      chat_id: row.chat_id,
      task_id: row.task_id,
      role: row.role ?? 'user',
      status: row.status ?? 'complete',
      content: streamed?.content ?? row.content ?? '',
      reasoning: streamed?.reasoning ?? row.reasoning ?? '',
      tool_calls: streamed ? [...streamed.toolCalls.values()] : toolCallsIn(row.tool_calls),
      plan: streamed ? (streamed.plan ?? null) : planIn(row.plan),
      segments: streamed?.segments ?? segmentsIn(row.segments),
      total_chars: streamed?.totalChars ?? row.total_chars,
      tokens_used: row.tokens_used,
      created_at: isoOrNull(row.created_at),
      finished_at: isoOrNull(row.finished_at),
    });
  }
  return messages;
}

/** Returns ISO 8601, or null for a time that ISO 8601 cannot express, because any program may write any time. */
export const isoOrNull = (date: Date | null): string | null =>
  date === null || Number.isNaN(date.getTime()) ? null : date.toISOString();
