/**
 * A page is a part of a session's log, read once for all readers. Its frames are forwarded as the text that Postgres
 * returned, because parsing JSON and writing it again changes numbers.
 */
import type { Sql } from '../store/sql.ts';
import type { SessionId, TaskId } from '../contract/ids.ts';
import type { Frame } from '../contract/frame.ts';
import { frameIn, frameTime } from './frame-in.ts';
import type { SnapshotFrame } from './snapshot.ts';

const PAGE_FRAMES = 500;
const PAGE_BYTES = 1024 * 1024;

/**
 * What a follower gets: the stored frames. If compaction removed frames that the follower lacks, it first gets a
 * snapshot.
 */
export type FollowedFrame = Frame | SnapshotFrame;

export interface LogPage {
  /** The number of the page's first frame. `last` is the number of its last frame. */
  readonly first: number;
  readonly last: number;
  /** The number of characters of the page's JSON. */
  readonly size: number;
  /** The time when the page's last frame was written, by Postgres' clock, in milliseconds since 1970. */
  readonly writtenAt: number;
  /** Returns the parsed frames. They are parsed once, at the first call. */
  frames(): readonly FollowedFrame[];
  /** Returns the frames as a JSON array in UTF-8. The array is made once, at the first call. */
  json(): Buffer;
  /** Returns the part of the page with the frames above the number `seq`, which must be below `last`. */
  above(seq: number): LogPage;
}

interface Entry {
  readonly seq: number;
  readonly at: number;
  readonly text: string;
}

function pageOf(first: Entry, entries: readonly Entry[]): LogPage {
  let frames: readonly FollowedFrame[] | undefined;
  let json: Buffer | undefined;
  const last = entries.at(-1) ?? first;
  return {
    first: first.seq,
    last: last.seq,
    writtenAt: last.at,
    size: entries.reduce((sum, { text }) => sum + text.length + 1, 1),
    frames: () => (frames ??= entries.flatMap(frameOf)),
    json: () => (json ??= Buffer.from(`[${entries.map(({ text }) => text).join(',')}]`)),
    above: (seq) => {
      const rest = entries.filter((entry) => entry.seq > seq);
      return pageOf(rest[0] ?? first, rest);
    },
  };
}

function frameOf({ seq, text }: Entry): Frame[] {
  const { session_id, type, task_id, at, ...body } = JSON.parse(text) as Frame;
  const frame = frameIn({ session_id, seq, type, ...(task_id ? { task_id } : {}), at, body });
  return frame ? [frame] : [];
}

/** Returns a page whose only frame is the snapshot. */
export function snapshotPage(snapshot: SnapshotFrame): LogPage {
  const entry = { seq: snapshot.seq, at: Date.parse(snapshot.at), text: JSON.stringify(snapshot) };
  return { ...pageOf(entry, [entry]), frames: () => [snapshot] };
}

export type PageRead =
  /** If `page` is undefined, there is no frame above the requested number yet. */
  | { readonly kind: 'read'; readonly page: LogPage | undefined; readonly more: boolean }
  /** The requested number is below the part that compaction removed, or above the log's end. */
  | { readonly kind: 'unreachable' }
  /** The session does not exist. */
  | { readonly kind: 'gone' };

interface PageRow {
  readonly ord: number;
  readonly session_id: SessionId;
  readonly last: number;
  readonly compacted_seq: number;
  readonly seq: number | null;
  readonly type: string;
  readonly task_id: TaskId | null;
  readonly at: Date;
  readonly body: string;
}

const ENVELOPE = ['session_id', 'seq', 'type', 'task_id', 'at'];

export interface PageWanted {
  readonly sessionId: SessionId;
  readonly after: number;
}

/**
 * SQL: the frame's body without fields that have the names of envelope fields. Another program may have written such
 * fields, and a reader of the text would take them for those of the envelope.
 */
const fields = (sql: Sql) => sql`
  CASE WHEN jsonb_typeof(body) = 'object' AND body ?| ${ENVELOPE} THEN (body - ${ENVELOPE}::text[])::text ELSE body::text END`;

/**
 * Returns the next page for each request, in the order of the requests. One statement reads all of them, because one
 * statement has one snapshot of the database. So compaction cannot run between the read of `compacted_seq` and the read
 * of the frames.
 */
export async function readPages(sql: Sql, wanted: readonly PageWanted[]): Promise<PageRead[]> {
  const rows = await sql<PageRow[]>`
    SELECT w.ord::int, s.id AS session_id, s.seq AS last, s.compacted_seq, f.seq, f.type, f.task_id, f.at, f.body
      FROM unnest(${wanted.map(({ sessionId }) => sessionId)}::uuid[], ${wanted.map(({ after }) => after)}::bigint[])
             WITH ORDINALITY AS w (session_id, after, ord)
      JOIN sessions s ON s.id = w.session_id
      LEFT JOIN LATERAL (
        SELECT * FROM (
          SELECT p.*, sum(octet_length(p.body)) OVER (ORDER BY p.seq) - octet_length(p.body) AS bytes_before
            FROM (SELECT seq, type, task_id, at, ${fields(sql)} AS body FROM frames
                   WHERE session_id = s.id AND seq > w.after ORDER BY seq LIMIT ${PAGE_FRAMES}) p
        ) sized WHERE bytes_before < ${PAGE_BYTES}
      ) f ON true
     ORDER BY w.ord, f.seq`;
  const pages = wanted.map((): PageRow[] => []);
  for (const row of rows) pages[row.ord - 1]?.push(row);
  return wanted.map(({ after }, index) => pageRead(after, pages[index] ?? []));
}

function pageRead(after: number, rows: readonly PageRow[]): PageRead {
  const [row] = rows;
  if (!row) return { kind: 'gone' };
  if (after < Math.min(row.compacted_seq, row.last) || after > row.last) return { kind: 'unreachable' };
  const entries = rows.flatMap((one) => (one.seq === null ? [] : [entryOf(one.seq, one)]));
  const [first] = entries;
  const page = first && pageOf(first, entries);
  // The row may count more frames than the log has. Then there is nothing more to read now.
  return { kind: 'read', page, more: page !== undefined && page.last < row.last };
}

function entryOf(seq: number, { session_id, type, task_id, at, body }: PageRow): Entry {
  const envelope = { session_id, seq, type, ...(task_id ? { task_id } : {}), at: frameTime(at) };
  // Joins the envelope `{…}` and the body `{…}` to one object without changing the text of the log.
  const fields = body.startsWith('{') ? body.slice(1) : '}';
  const text = `${JSON.stringify(envelope).slice(0, -1)}${fields === '}' ? '' : ', '}${fields}`;
  return { seq, at: Date.parse(envelope.at), text };
}
