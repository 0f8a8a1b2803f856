/**
 * The frame writer: one a worker process. It takes what the turns of this process emit and writes it to
 * the log, at once when idle, then at most every 30 ms, with one statement for all its sessions.
 *
 * Must never happen: a frame of an outdated attempt in the log; a hole, a repeat or another order.
 * Both are refused by the row that the statement updates: `writer` is the attempt's token and `written`
 * the number of frames that this token has added, so a resend after a lost connection adds nothing.
 * A subquery on another row would not do: it waits for the lock and then trusts its old snapshot.
 *
 * Not covered: frames still in memory when the process dies. The turn's next attempt carries on from the log.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { isConnectionLoss, type Sql, sqlCode, type Tx } from '../store/sql.ts';
import type { ChatId, MessageId, SessionId, TaskId } from '../workflows/contract.ts';
import { LonghaulError } from '../workflows/errors.ts';
import { type FrameBody, FRAMES_CHANNEL, MAX_DELTA_CHARS } from './frame.ts';
import { storedBody, type StoredBody } from './stored-body.ts';

/** Below 30 ms a follower cannot tell, and 34 statements a second carry 4,000 frames at 5 % of a core. */
const WRITE_INTERVAL_MS = 30;
/** What a turn may have in memory before its agent's stdout is paused. */
export const MAX_BUFFERED_BYTES = 4 * 1024 * 1024;
/** Of one session in one statement. */
const BATCH_BYTES = 1024 * 1024;
const RETRY_FIRST_MS = 50;
const RETRY_MAX_MS = 1_000;

export interface StreamOptions {
  readonly sessionId: SessionId;
  readonly taskId: TaskId;
  /** The attempt's fence token, taken before. */
  readonly token: string;
  /** Frames that this token has added so far, and the session's last number. */
  readonly written: number;
  readonly seq: number;
}

/** One turn's way into the log. */
export interface FrameStream {
  /** Number of the session's newest frame that this stream knows. */
  readonly seq: number;
  /** Aborted with a LonghaulError as its reason: `superseded`, or what makes the log refuse this turn. */
  readonly lost: AbortSignal;
  append(body: FrameBody): void;
  /** Resolves when there is room for more: await it before taking more output of the agent. */
  room(): Promise<void>;
  /** Resolves when all that was appended is in the log. Rejects when the stream is lost. */
  flush(): Promise<void>;
  /**
   * The last frames of the turn and `work` in one fenced transaction; nothing is appended after it. Safe over a lost
   * connection: `work` may then run again, its effect is kept once. Rejects when the stream is lost or `work` fails,
   * which loses the stream: nothing of the commit is kept then.
   */
  commit(frames: readonly FrameBody[], work: (tx: Tx) => Promise<void>): Promise<void>;
  /** Takes no more. What was appended before is still written, unless the stream is lost. */
  close(): void;
}

class Stream implements FrameStream {
  readonly options: StreamOptions;
  readonly #wake: () => void;
  readonly #lost = new AbortController();
  seq: number;
  written: number;
  bytes = 0;
  pending: StoredBody[] = [];
  #closed = false;
  #open?: { type: 'delta' | 'reasoning_delta'; message_id: MessageId; chat_id: ChatId; content: string };
  #waiters: { test: () => boolean; resolve: () => void; reject: (reason: unknown) => void }[] = [];

  constructor(options: StreamOptions, wake: () => void) {
    this.options = options;
    this.seq = options.seq;
    this.written = options.written;
    this.#wake = wake;
  }

  get lost(): AbortSignal {
    return this.#lost.signal;
  }

  append(body: FrameBody): void {
    if (this.lost.aborted || this.#closed) return;
    if (body.type === 'delta' || body.type === 'reasoning_delta') {
      this.#appendDelta(body.type, body.message_id, body.chat_id, body.content);
    } else {
      this.#seal();
      this.push(body);
    }
    this.#wake();
  }

  /** Text that comes faster than it is written becomes fewer, longer frames. */
  #appendDelta(type: 'delta' | 'reasoning_delta', messageId: MessageId, chatId: ChatId, content: string): void {
    let rest = content;
    while (rest.length > 0) {
      const open = this.#open;
      if (open && open.type === type && open.message_id === messageId && open.content.length < MAX_DELTA_CHARS) {
        const room = MAX_DELTA_CHARS - open.content.length;
        const part = cutAt(rest, room);
        open.content += part;
        this.bytes += part.length;
        rest = rest.slice(part.length);
        if (part.length === 0) this.#seal();
      } else {
        this.#seal();
        this.#open = { type, message_id: messageId, chat_id: chatId, content: '' };
      }
    }
  }

  #seal(): void {
    const open = this.#open;
    if (!open) return;
    this.#open = undefined;
    this.bytes -= open.content.length;
    this.push(open);
  }

  push(body: FrameBody): void {
    const frame = storedBody(body);
    this.pending.push(frame);
    this.bytes += frame.json.length;
  }

  get hasPending(): boolean {
    return this.pending.length > 0 || this.#open !== undefined;
  }

  /** The next frames to write, oldest first. They stay pending until `wrote`. */
  batch(): StoredBody[] {
    this.#seal();
    let bytes = 0;
    let count = 0;
    for (const frame of this.pending) {
      if (count > 0 && bytes + frame.json.length > BATCH_BYTES) break;
      bytes += frame.json.length;
      count += 1;
    }
    return this.pending.slice(0, count);
  }

  wrote(count: number, seq: number): void {
    for (const frame of this.pending.splice(0, count)) this.bytes -= frame.json.length;
    this.written += count;
    this.seq = seq;
    this.#settle();
  }

  lose(reason: LonghaulError): void {
    if (!this.lost.aborted) this.#lost.abort(reason);
    this.pending = [];
    this.#open = undefined;
    this.bytes = 0;
    for (const waiter of this.#waiters.splice(0)) waiter.reject(reason);
  }

  #settle(): void {
    this.#waiters = this.#waiters.filter((waiter) => {
      if (!waiter.test()) return true;
      waiter.resolve();
      return false;
    });
  }

  until(test: () => boolean): Promise<void> {
    if (this.lost.aborted) return Promise.reject(this.lost.reason as LonghaulError);
    if (test()) return Promise.resolve();
    return new Promise((resolve, reject) => {
      this.#waiters.push({ test, resolve, reject });
    });
  }

  room(): Promise<void> {
    return this.until(() => this.bytes < MAX_BUFFERED_BYTES);
  }

  flush(): Promise<void> {
    return this.until(() => !this.hasPending);
  }

  close(): void {
    this.#closed = true;
    this.#wake();
  }

  /** Nothing will be written for it any more. */
  get isOver(): boolean {
    return this.lost.aborted || (this.#closed && !this.hasPending);
  }

  // Set by the writer, which owns the connection.
  commit: FrameStream['commit'] = () => Promise.reject(new TypeError('a stream is made by a FrameWriter'));
}

export class FrameWriter {
  readonly #sql: Sql;
  readonly #streams = new Set<Stream>();
  readonly #onError: (error: unknown) => void;
  #timer: NodeJS.Timeout | undefined;
  #writing = false;
  #lastWriteAt = 0;
  #failures = 0;

  /** `onError` hears of failures that are retried. */
  constructor(sql: Sql, onError: (error: unknown) => void = () => {}) {
    this.#sql = sql;
    this.#onError = onError;
  }

  open(options: StreamOptions): FrameStream {
    const stream = new Stream(options, () => this.#schedule());
    stream.commit = (frames, work) => this.#commit(stream, frames, work);
    this.#streams.add(stream);
    return stream;
  }

  #schedule(): void {
    if (this.#writing || this.#timer) return;
    const wait =
      this.#failures > 0
        ? Math.min(RETRY_FIRST_MS * 2 ** (this.#failures - 1), RETRY_MAX_MS)
        : Math.max(0, this.#lastWriteAt + WRITE_INTERVAL_MS - performance.now());
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      void this.#write();
    }, wait);
  }

  async #write(): Promise<void> {
    this.#writing = true;
    this.#lastWriteAt = performance.now();
    for (const stream of this.#streams) if (stream.isOver) this.#streams.delete(stream);
    const batches = [...this.#streams]
      .filter((stream) => stream.hasPending)
      .map((stream) => ({ stream, frames: stream.batch() }));
    try {
      if (batches.length > 0) await this.#send(batches);
      this.#failures = 0;
    } catch (error) {
      this.#failures += 1;
      this.#onError(error);
    } finally {
      this.#writing = false;
    }
    if ([...this.#streams].some((stream) => stream.hasPending)) this.#schedule();
  }

  async #send(batches: readonly Batch[]): Promise<void> {
    try {
      const last = await insertFrames(this.#sql, batches);
      for (const { stream, frames } of batches) {
        const seq = last.get(stream.options.sessionId);
        if (seq === undefined) await this.#explainRefusal(stream);
        else stream.wrote(frames.length, seq);
      }
    } catch (error) {
      if (isConnectionLoss(error)) throw error;
      // The statement itself was refused: find the session whose frames it does not take.
      const [first] = batches;
      if (batches.length === 1 && first) {
        first.stream.lose(asLonghaulError(error));
        this.#onError(error);
        return;
      }
      for (const batch of batches) await this.#send([batch]);
    }
  }

  /**
   * Nothing was updated: an earlier send had gone in and its answer was lost, or somebody else may write now. Only
   * this stream adds under its token, oldest frame first; so what the row counts beyond what the stream knows of is
   * the beginning of what is pending. It may be shorter than the last send: more was appended meanwhile.
   */
  async #explainRefusal(stream: Stream): Promise<void> {
    const { sessionId, token } = stream.options;
    const [row] = await this.#sql<{ writer: string | null; written: number; seq: number }[]>`
      SELECT writer, written, seq FROM sessions WHERE id = ${sessionId}`;
    const arrived = row?.writer === token ? row.written - stream.written : 0;
    if (row && arrived > 0 && arrived <= stream.pending.length) stream.wrote(arrived, row.seq);
    else stream.lose(outdated(stream, row));
  }

  async #commit(stream: Stream, frames: readonly FrameBody[], work: (tx: Tx) => Promise<void>): Promise<void> {
    await stream.flush();
    // From here on only this transaction writes for the stream.
    stream.close();
    this.#streams.delete(stream);
    for (const frame of frames) stream.push(frame);
    for (let failures = 0; ; failures += 1) {
      try {
        return await this.#commitOnce(stream, work);
      } catch (error) {
        if (!isConnectionLoss(error)) {
          stream.lose(asLonghaulError(error));
          throw error;
        }
        this.#onError(error);
        await delay(Math.min(RETRY_FIRST_MS * 2 ** failures, RETRY_MAX_MS));
      }
    }
  }

  async #commitOnce(stream: Stream, work: (tx: Tx) => Promise<void>): Promise<void> {
    const frames = [...stream.pending];
    const seq = await this.#sql.begin(async (tx) => {
      const last = (await insertFrames(tx, [{ stream, frames }])).get(stream.options.sessionId);
      if (last !== undefined) await work(tx);
      return last;
    });
    if (seq === undefined) await this.#explainRefusal(stream);
    else stream.wrote(frames.length, seq);
    if (stream.lost.aborted) throw stream.lost.reason as LonghaulError;
  }
}

interface Batch {
  readonly stream: Stream;
  readonly frames: readonly StoredBody[];
}

/** Fence, numbers, rows and wake-up in one statement. Returns the new last number of each session that took them. */
async function insertFrames(db: Sql | Tx, batches: readonly Batch[]): Promise<Map<string, number>> {
  const sessions = batches.map((batch) => batch.stream.options.sessionId);
  const rows = batches.flatMap(({ stream, frames }) =>
    frames.map((frame, index) => ({ ...frame, ord: index + 1, options: stream.options })),
  );
  const moved = await db<{ id: string; last: number }[]>`
    WITH wanted AS (
      SELECT * FROM unnest(
        ${sessions}::uuid[],
        ${batches.map((batch) => batch.stream.options.token)}::uuid[],
        ${batches.map((batch) => batch.stream.written)}::bigint[],
        ${batches.map((batch) => batch.frames.length)}::int[]
      ) AS w (id, token, seen, n)
    ), moved AS (
      UPDATE sessions s SET seq = s.seq + w.n, written = s.written + w.n
        FROM wanted w
       WHERE s.id = w.id AND s.writer = w.token AND s.written = w.seen
      RETURNING s.id, s.seq - w.n AS before, s.seq AS last
    ), added AS (
      INSERT INTO frames (session_id, seq, type, task_id, body)
      SELECT m.id, m.before + f.ord, f.type, f.task_id, f.body::jsonb
        FROM unnest(
          ${rows.map((row) => row.options.sessionId)}::uuid[],
          ${rows.map((row) => row.ord)}::int[],
          ${rows.map((row) => row.type)}::text[],
          ${rows.map((row) => row.options.taskId)}::uuid[],
          ${rows.map((row) => row.json)}::text[]
        ) AS f (session_id, ord, type, task_id, body)
        JOIN moved m ON m.id = f.session_id
    )
    SELECT id, last, pg_notify(${FRAMES_CHANNEL}, id || ' ' || last) FROM moved`;
  return new Map(moved.map((row) => [row.id, row.last]));
}

function asLonghaulError(error: unknown): LonghaulError {
  if (error instanceof LonghaulError) return error;
  const cause = `${sqlCode(error) ?? ''} ${error instanceof Error ? error.message : String(error)}`.trim();
  return new LonghaulError('internal_error', `the database refused this turn's output: ${cause}`, { cause: error });
}

function outdated(stream: Stream, row: { writer: string | null; written: number } | undefined): LonghaulError {
  const found = row ? `writer ${row.writer ?? 'none'}, ${row.written} written` : 'no session';
  return new LonghaulError(
    'superseded',
    `session ${stream.options.sessionId}: expected writer ${stream.options.token}, ${stream.written} written, found ${found}`,
  );
}

/** At most `limit` characters, not between the halves of a surrogate pair. */
function cutAt(text: string, limit: number): string {
  if (text.length <= limit) return text;
  const last = text.charCodeAt(limit - 1);
  return text.slice(0, last >= 0xd800 && last <= 0xdbff ? limit - 1 : limit);
}
