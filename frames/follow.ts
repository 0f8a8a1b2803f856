/**
 * The readers' side of the broadcaster. A follower is a loop that pulls pages of the log; NOTIFY only
 * wakes it. So a slow reader costs one page, and a lost wake-up costs one poll.
 *
 * Must never happen: a follower misses a frame, gets one twice or out of order. `seq` has no holes and is
 * committed in order (the session's row is locked until the commit), so "everything above the last
 * delivered" is exact.
 */
import { listen, type Listener } from '../store/listen.ts';
import { isConnectionLoss, type Sql, sqlCode } from '../store/sql.ts';
import type { SessionId, TaskId } from '../workflows/contract.ts';
import { LonghaulError } from '../workflows/errors.ts';
import { type Frame, type FrameBody, FRAMES_CHANNEL } from './frame.ts';
import { type SnapshotFrame, takeSnapshot } from './snapshot.ts';

const POLL_MS = 2_000;
const RETRY_MS = 250;
const PAGE_FRAMES = 500;
const PAGE_BYTES = 1024 * 1024;

/** What a follower gets: the stored frames and, where the log alone would not do, a snapshot first. */
export type FollowedFrame = Frame | SnapshotFrame;

export interface FollowOptions {
  readonly sessionId: SessionId;
  /** The last number that the reader has. None, below what compaction removed, or above the log's end: a snapshot first. */
  readonly after?: number;
  /** Ends the iteration without an error. */
  readonly signal?: AbortSignal;
  /** Told at every look whether the log could be read; nobody else says that it is away, since it comes back. */
  readonly onLook?: (reached: boolean) => void;
}

/** Owns the process's one listening connection for frames. */
export class FrameHub {
  readonly #sql: Sql;
  readonly #wakers = new Map<string, Set<(seq: number) => void>>();
  #listener: Listener | undefined;

  constructor(sql: Sql) {
    this.#sql = sql;
  }

  /**
   * Arrays of frames in order. Goes on while Postgres is away, and ends when `signal` is aborted or the
   * session is deleted. Fails with `session_not_found`.
   */
  async *follow({ sessionId, after, signal, onLook }: FollowOptions): AsyncGenerator<FollowedFrame[], void, void> {
    const waker = this.#register(sessionId);
    try {
      // LISTEN before the first look: what is written after that look wakes us.
      await unlessAborted(this.#listening(), signal);
      let position = after;
      let known = false;
      const stopped = (): boolean => signal?.aborted === true;
      while (!stopped()) {
        waker.reset();
        const read = await this.#read(sessionId, position).catch(retryLater);
        onLook?.(read.kind !== 'away');
        if (read.kind === 'away') await waker.wait(Number.POSITIVE_INFINITY, RETRY_MS, signal);
        else if (read.kind === 'gone' && known) return;
        else if (read.kind === 'gone') throw noSuchSession(sessionId);
        else {
          known = true;
          position = read.seq;
          if (read.frames.length > 0) yield read.frames;
          if (!read.more) await waker.wait(position, POLL_MS, signal);
        }
      }
    } finally {
      waker.release();
    }
  }

  async close(): Promise<void> {
    await this.#listener?.close();
    this.#listener = undefined;
  }

  #listening(): Promise<void> {
    this.#listener ??= listen(this.#sql, {
      channels: [FRAMES_CHANNEL],
      onNotify: (_channel, payload) => this.#onNotify(payload),
      onListening: () => this.#wakeAll(),
    });
    return this.#listener.listening;
  }

  #onNotify(payload: string): void {
    const [sessionId = '', seq = ''] = payload.split(' ');
    for (const wake of this.#wakers.get(sessionId) ?? []) wake(Number(seq));
  }

  #wakeAll(): void {
    for (const wakers of this.#wakers.values()) for (const wake of wakers) wake(Number.POSITIVE_INFINITY);
  }

  #register(sessionId: string): Waker {
    const waker = new Waker(() => {
      const wakers = this.#wakers.get(sessionId);
      wakers?.delete(waker.wake);
      if (wakers?.size === 0) this.#wakers.delete(sessionId);
    });
    const wakers = this.#wakers.get(sessionId) ?? new Set();
    this.#wakers.set(sessionId, wakers.add(waker.wake));
    return waker;
  }

  async #read(sessionId: SessionId, position: number | undefined): Promise<Read> {
    const page = position === undefined ? undefined : await readPage(this.#sql, sessionId, position);
    if (page && page.kind !== 'unreachable') return page;
    const snapshot = await takeSnapshot(this.#sql, sessionId);
    if (!snapshot) return { kind: 'gone' };
    return { kind: 'read', frames: [snapshot], seq: snapshot.seq, more: true };
  }
}

/** For a process with one follower: the hub lives as long as the iteration. */
export async function* followFrames(sql: Sql, options: FollowOptions): AsyncGenerator<FollowedFrame[], void, void> {
  const hub = new FrameHub(sql);
  try {
    yield* hub.follow(options);
  } finally {
    await hub.close();
  }
}

type Read =
  | { readonly kind: 'read'; readonly frames: FollowedFrame[]; readonly seq: number; readonly more: boolean }
  | { readonly kind: 'gone' }
  | { readonly kind: 'away' };

function retryLater(error: unknown): Read {
  // CONNECTION_ENDED: this process closed its pool, so nothing will ever come.
  if (isConnectionLoss(error) && sqlCode(error) !== 'CONNECTION_ENDED') return { kind: 'away' };
  throw error;
}

interface PageRow {
  readonly last: number;
  readonly compacted_seq: number;
  readonly seq: number | null;
  readonly type: string;
  readonly task_id: TaskId | null;
  readonly at: Date;
  readonly body: string;
}

/**
 * One statement, hence one view of the database: compaction cannot slip between the look at
 * `compacted_seq` and the look at the frames.
 */
async function readPage(sql: Sql, sessionId: SessionId, after: number): Promise<Read | { kind: 'unreachable' }> {
  const rows = await sql<PageRow[]>`
    SELECT s.seq AS last, s.compacted_seq, f.seq, f.type, f.task_id, f.at, f.body
      FROM sessions s LEFT JOIN LATERAL (
        SELECT * FROM (
          SELECT p.*, sum(octet_length(p.body)) OVER (ORDER BY p.seq) - octet_length(p.body) AS bytes_before
            FROM (SELECT seq, type, task_id, at, body::text AS body FROM frames
                   WHERE session_id = s.id AND seq > ${after} ORDER BY seq LIMIT ${PAGE_FRAMES}) p
        ) sized WHERE bytes_before < ${PAGE_BYTES}
      ) f ON true
     WHERE s.id = ${sessionId} ORDER BY f.seq`;
  const [first] = rows;
  if (!first) return { kind: 'gone' };
  if (after < first.compacted_seq || after > first.last) return { kind: 'unreachable' };
  const frames = rows.flatMap((row) => (row.seq === null ? [] : [frameOf(sessionId, row.seq, row)]));
  const seq = frames.at(-1)?.seq ?? after;
  return { kind: 'read', frames, seq, more: seq < first.last };
}

function frameOf(sessionId: SessionId, seq: number, row: PageRow): Frame {
  const body = { type: row.type, ...(JSON.parse(row.body) as object) } as FrameBody;
  return {
    session_id: sessionId,
    seq,
    ...(row.task_id ? { task_id: row.task_id } : {}),
    at: row.at.toISOString(),
    ...body,
  };
}

/** A follower's doorbell. It is reset before each look at the log, so what rings during the look is not lost. */
class Waker {
  readonly release: () => void;
  #newest = 0;
  #resolve: (() => void) | undefined;

  constructor(release: () => void) {
    this.release = release;
  }

  readonly wake = (seq: number): void => {
    this.#newest = Math.max(this.#newest, seq);
    this.#resolve?.();
  };

  reset(): void {
    this.#newest = 0;
  }

  /** Until something above `position` is announced, `timeoutMs` have passed or the signal is aborted. */
  async wait(position: number, timeoutMs: number, signal: AbortSignal | undefined): Promise<void> {
    if (this.#newest > position || signal?.aborted) return;
    await new Promise<void>((resolve) => {
      const done = (): void => {
        clearTimeout(timer);
        signal?.removeEventListener('abort', done);
        this.#resolve = undefined;
        resolve();
      };
      const timer = setTimeout(done, timeoutMs);
      signal?.addEventListener('abort', done);
      this.#resolve = done;
    });
  }
}

/** Resolves with the work, or when the signal is aborted. */
async function unlessAborted(work: Promise<void>, signal: AbortSignal | undefined): Promise<void> {
  if (!signal) return work;
  let done = (): void => {};
  const aborted = new Promise<void>((resolve) => {
    done = resolve;
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', done);
  });
  await Promise.race([work, aborted]);
  signal.removeEventListener('abort', done);
}

function noSuchSession(sessionId: SessionId): LonghaulError {
  return new LonghaulError(
    'session_not_found',
    `There is no session ${sessionId}: list them with the tasks (longhaul ls).`,
  );
}
