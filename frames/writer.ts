/**
 * Writes frames to the log. Each worker process has one frame writer, which takes the frames of all its turns. It
 * writes at once when it is idle, otherwise at most every 25 ms, with one statement for all its sessions.
 *
 * Must never happen: a frame of an outdated attempt is in the log; the log has a gap, a repetition or another order.
 * The statement updates the session's row only if two columns match: `writer` is the attempt's token, and `written` is
 * the number of frames that this token has added, so a resend after a lost connection adds nothing. A subquery on
 * another row would not be enough, because the statement would wait for the lock and then use its old snapshot.
 *
 * Not covered: frames that are still in memory when the process dies. The turn's next attempt continues from the log.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { isConnectionLoss, type Sql, sqlCode, type Tx } from '../store/sql.ts';
import { LonghaulError, messageOf } from '../contract/errors.ts';
import type { FrameBody } from '../contract/frame.ts';
import { FRAMES_CHANNEL } from '../store/channels.ts';
import type { StoredBody } from '../store/stored-body.ts';
import { type FrameStream, Stream, type StreamOptions } from './stream.ts';

/**
 * The mean wait of a frame is half of this interval. With 30 ms the latency of twenty agents at once was 22 ms (p50);
 * the goal is 20 ms. At 25 ms, 34 statements a second write 4,000 frames at 5 % of a core.
 */
const WRITE_INTERVAL_MS = 25;
const RETRY_FIRST_MS = 50;
const RETRY_MAX_MS = 1_000;

export class FrameWriter {
  readonly #sql: Sql;
  readonly #streams = new Set<Stream>();
  readonly #onError: (error: unknown) => void;
  #scheduled = false;
  #writing = false;
  #lastWriteAt = 0;
  #failures = 0;

  /** `onError` is called with failures that are retried. */
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
    if (this.#writing || this.#scheduled) return;
    const wait =
      this.#failures > 0
        ? Math.min(RETRY_FIRST_MS * 2 ** (this.#failures - 1), RETRY_MAX_MS)
        : Math.max(0, this.#lastWriteAt + WRITE_INTERVAL_MS - performance.now());
    const write = (): void => {
      this.#scheduled = false;
      void this.#write();
    };
    this.#scheduled = true;
    // `setTimeout(0)` would wait 1 ms.
    if (wait === 0) setImmediate(write);
    else setTimeout(write, wait);
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
      // The statement itself was refused. The batches are now written one by one, to find the session whose frames the
      // database does not accept.
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
   * Handles a stream whose batch was not written, because the statement found no session row with the stream's token
   * and count. Either an earlier send was committed and its response was lost, or another attempt may write now. Only
   * this stream adds frames under this token, the oldest first. So if the row counts more frames than the stream does,
   * the difference is the number of pending frames that were written. Those are the oldest ones; the newer frames were
   * appended after that send.
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

/**
 * Checks the fence, assigns the numbers, inserts the rows and notifies the readers in one statement. Returns the new
 * last number of each session that accepted its frames.
 */
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
  const cause = `${sqlCode(error) ?? ''} ${messageOf(error)}`.trim();
  return new LonghaulError('internal_error', `the database refused this turn's output: ${cause}`, { cause: error });
}

function outdated(stream: Stream, row: { writer: string | null; written: number } | undefined): LonghaulError {
  const found = row ? `writer ${row.writer ?? 'none'}, ${row.written} written` : 'no session';
  return new LonghaulError(
    'superseded',
    `session ${stream.options.sessionId}: expected writer ${stream.options.token}, ${stream.written} written, found ${found}`,
  );
}
