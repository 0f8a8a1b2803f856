/**
 * Reads the content of an unfinished message from the session's log. Compaction stops before the message's first frame,
 * so the log has the whole message.
 */
import type { Db } from '../store/sql.ts';
import type { MessageId, SessionId, TaskId } from '../contract/ids.ts';
import type { MessageSegment } from '../contract/vocabulary.ts';
import type { MessageView } from './fold.ts';
import { frameIn, frameTime } from './frame-in.ts';
import type { Frame } from '../contract/frame.ts';
import { SegmentFold } from './segments.ts';

/** The number of rows that are folded at a time, so that a long turn does not need much memory. */
const FOLD_PAGE = 2_000;

export interface StreamedMessage extends MessageView {
  readonly segments: readonly MessageSegment[];
}

interface MessageOfLog {
  readonly sessionId: SessionId;
  readonly messageId: MessageId;
}

/** Returns the content and the segments of the message, with the complete tool calls. */
export async function foldMessage(db: Db, of: MessageOfLog): Promise<StreamedMessage> {
  const { view, segments } = await folded(db, { ...of, outlined: false });
  return { ...view, segments };
}

/**
 * Returns the segments without the input and output of tool calls, which can be hundreds of megabytes. It is for a turn
 * that already has the tool calls in memory.
 */
export async function foldSegments(db: Db, of: MessageOfLog): Promise<readonly MessageSegment[]> {
  return (await folded(db, { ...of, outlined: true })).segments;
}

async function folded(db: Db, of: MessageOfLog & { outlined: boolean }): Promise<SegmentFold> {
  const taskId = await taskOf(db, of.messageId);
  const fold = new SegmentFold({ messageId: of.messageId, taskId });
  for await (const frame of framesOf(db, { ...of, taskId })) fold.add(frame);
  return fold;
}

async function taskOf(db: Db, messageId: MessageId): Promise<TaskId | null> {
  const [row] = await db<{ task_id: TaskId | null }[]>`SELECT task_id FROM messages WHERE id = ${messageId}`;
  return row?.task_id ?? null;
}

interface FrameRow {
  readonly seq: number;
  readonly at: Date;
  readonly type: string;
  readonly task_id: TaskId | null;
  readonly body: unknown;
}

/** Yields the frames of the message and the other frames of its task, the oldest first. */
async function* framesOf(
  db: Db,
  { sessionId, messageId, taskId, outlined }: MessageOfLog & { taskId: TaskId | null; outlined: boolean },
): AsyncGenerator<Frame, void, void> {
  const [session] = await db<{ compacted_seq: number }[]>`SELECT compacted_seq FROM sessions WHERE id = ${sessionId}`;
  const body = outlined ? outline(db) : db`f.body`;
  let after = Math.max(0, session?.compacted_seq ?? 0);
  for (;;) {
    const rows = await db<FrameRow[]>`
      SELECT f.seq, f.at, f.type, f.task_id, ${body} AS body
        FROM frames f
       WHERE f.session_id = ${sessionId} AND f.seq > ${after}
         AND (f.task_id = ${taskId}::uuid OR f.body ->> 'message_id' = ${messageId})
       ORDER BY f.seq LIMIT ${FOLD_PAGE}`;
    for (const { at, task_id, ...row } of rows) {
      const of = task_id ? { task_id } : {};
      const frame = frameIn({ ...row, ...of, session_id: sessionId, at: frameTime(at) });
      if (frame) yield frame;
    }
    const last = rows.at(-1);
    if (!last || rows.length < FOLD_PAGE) return;
    after = last.seq;
  }
}

const outline = (db: Db) => db`
  CASE f.type WHEN 'tool_call' THEN
    jsonb_build_object('message_id', f.body -> 'message_id', 'call', (
      SELECT jsonb_build_object('tool_call_id', call -> 'tool_call_id', 'title', call -> 'title', 'status', call -> 'status')
        FROM (SELECT f.body -> 'call' AS call OFFSET 0) one))
  ELSE f.body END`;
