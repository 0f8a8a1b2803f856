/**
 * Delivers frames to readers. A follower is a loop that reads pages of the log: with its own queries until it has
 * caught up, then from the tail that all readers of the session share. NOTIFY only wakes the loop. So a slow reader
 * costs one page of memory, and a lost notification costs one poll.
 *
 * Must never happen: a follower misses a frame, or gets one twice or out of order. `seq` has no gaps and is committed
 * in order, because the session's row is locked until the commit. So "all frames above the last delivered number" are
 * exactly the missing ones.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { listen, type Listener } from '../store/listen.ts';
import type { Sql } from '../store/sql.ts';
import type { SessionId } from '../contract/ids.ts';
import { LonghaulError } from '../contract/errors.ts';
import { FRAMES_CHANNEL } from '../store/channels.ts';
import { type FollowedFrame, type LogPage, snapshotPage } from './page.ts';
import { PageReader } from './page-reader.ts';
import { takeSnapshot } from './snapshot.ts';
import { isOutage, RETRY_MS, type Subscription, Tail, type TailReader } from './tail.ts';
import { unlessAborted } from '../contract/promises.ts';

export type { FollowedFrame };

/**
 * Holds a page until one reader takes it. A reader calls `take` in a function that returns, not in its waiting loop,
 * because V8 keeps the state of a suspended async function, including the last values of dead variables. Otherwise each
 * of 500 idle readers kept its last page, 1.2 MB.
 */
export class Delivery {
  /** True if the page is live: it was read when it was written. False while the reader is catching up. */
  readonly live: boolean;
  /** The number of the page's last frame. */
  readonly last: number;
  #page: LogPage | undefined;

  constructor(page: LogPage, live: boolean) {
    this.#page = page;
    this.last = page.last;
    this.live = live;
  }

  /** Returns the page. Throws if it is called a second time. */
  take(): LogPage {
    const page = this.#page;
    if (!page) throw new TypeError('the page of a delivery was taken twice');
    this.#page = undefined;
    return page;
  }
}

export interface FollowOptions extends TailReader {
  readonly sessionId: SessionId;
  /**
   * The number of the last frame that the reader has. If this number is absent, below the compacted part, or above the
   * log's end, the reader first gets a snapshot.
   */
  readonly after?: number;
  /** Ends the iteration without an error when it is aborted. */
  readonly signal?: AbortSignal;
}

/** Holds the process's one listening connection for frames, and the tails that its followers share. */
export class FrameHub {
  readonly #sql: Sql;
  readonly #reader: PageReader;
  readonly #tails = new Map<string, Tail>();
  readonly #snapshots = new Map<string, Snapshots>();
  #listener: Listener | undefined;

  constructor(sql: Sql) {
    this.#sql = sql;
    this.#reader = new PageReader(sql);
  }

  /**
   * Yields arrays of frames in order. It waits while Postgres is unavailable. It ends when `signal` is aborted or the
   * session is deleted. Fails with `session_not_found`.
   */
  async *follow(options: FollowOptions): AsyncGenerator<FollowedFrame[], void, void> {
    for await (const delivery of this.pages(options)) yield [...delivery.take().frames()];
  }

  /** Yields the same frames as unparsed pages, for callers that forward them unchanged. */
  async *pages(options: FollowOptions): AsyncGenerator<Delivery, void, void> {
    const { sessionId, signal, onRead } = options;
    // The connection listens before the first read, so that frames written after that read wake the follower.
    await unlessAborted(this.#listening(), signal);
    let position = options.after;
    let known = false;
    let caughtUp = false;
    const stopped = (): boolean => signal?.aborted === true;
    while (!stopped()) {
      const subscription = this.#subscribe(options, position, caughtUp);
      if (subscription) {
        try {
          for (let next = await liveFrom(subscription, signal); next; next = await liveFrom(subscription, signal)) {
            position = next.last;
            yield next;
          }
        } finally {
          subscription.leave();
        }
        caughtUp = false;
        known = true;
        continue;
      }
      const read = await this.#read(sessionId, position).catch(retryLater);
      onRead?.(read.kind !== 'unavailable');
      if (read.kind === 'unavailable') await delay(RETRY_MS, undefined, signal && { signal }).catch(() => undefined);
      else if (read.kind === 'gone' && known) return;
      else if (read.kind === 'gone') throw noSuchSession(sessionId);
      else {
        known = true;
        caughtUp = !read.more;
        position = read.delivery?.last ?? position;
        if (read.delivery) yield read.delivery;
      }
    }
  }

  async close(): Promise<void> {
    await this.#listener?.close();
    this.#listener = undefined;
  }

  #listening(): Promise<void> {
    this.#listener ??= listen(this.#sql, {
      channels: [FRAMES_CHANNEL],
      onNotify: (_channel, payload) => {
        const [sessionId = '', seq = ''] = payload.split(' ');
        this.#tails.get(sessionId)?.wake(Number(seq));
      },
      onListening: () => {
        for (const tail of this.#tails.values()) tail.wake(Number.POSITIVE_INFINITY);
      },
    });
    return this.#listener.listening;
  }

  /**
   * Subscribes the reader to the session's tail. Returns undefined if the reader must read the log itself. `caughtUp`:
   * the reader has just read the log, and its position was the log's end.
   */
  #subscribe(options: FollowOptions, position: number | undefined, caughtUp: boolean): Subscription | undefined {
    if (position === undefined) return undefined;
    const { sessionId, onRead, onOvertaken } = options;
    const tail = this.#tails.get(sessionId) ?? (caughtUp ? this.#makeTail(sessionId, position) : undefined);
    const reachable = caughtUp ? tail?.reaches(position) : tail?.holds(position);
    return reachable ? tail?.join(position, { onRead, onOvertaken }) : undefined;
  }

  #makeTail(sessionId: SessionId, position: number): Tail {
    const onEnd = (): void => {
      if (this.#tails.get(sessionId) === tail) this.#tails.delete(sessionId);
    };
    const tail = new Tail({ reader: this.#reader, sessionId, position, onEnd });
    this.#tails.set(sessionId, tail);
    return tail;
  }

  async #read(sessionId: SessionId, position: number | undefined): Promise<Read> {
    const read = position === undefined ? undefined : await this.#reader.alone(sessionId, position);
    if (read?.kind === 'gone') return read;
    if (read?.kind === 'read')
      return { kind: 'read', delivery: read.page && new Delivery(read.page, false), more: read.more };
    const snapshots = this.#snapshots.get(sessionId) ?? new Snapshots(this.#sql, sessionId);
    this.#snapshots.set(sessionId, snapshots);
    const page = await snapshots.take().finally(() => snapshots.idle && this.#snapshots.delete(sessionId));
    return page ? { kind: 'read', delivery: new Delivery(page, false), more: true } : { kind: 'gone' };
  }
}

/** Follows a session in a process with one follower. The hub is closed when the iteration ends. */
export async function* followFrames(sql: Sql, options: FollowOptions): AsyncGenerator<FollowedFrame[], void, void> {
  const hub = new FrameHub(sql);
  try {
    yield* hub.follow(options);
  } finally {
    await hub.close();
  }
}

/**
 * Takes the snapshots of one session. Concurrent callers share the next snapshot, which shows at least the state at the
 * time of their calls.
 */
class Snapshots {
  readonly #sql: Sql;
  readonly #sessionId: SessionId;
  #taken: Promise<unknown> = Promise.resolve();
  #next: Promise<LogPage | undefined> | undefined;
  #asked = 0;

  constructor(sql: Sql, sessionId: SessionId) {
    this.#sql = sql;
    this.#sessionId = sessionId;
  }

  get idle(): boolean {
    return this.#asked === 0;
  }

  async take(): Promise<LogPage | undefined> {
    this.#asked += 1;
    this.#next ??= this.#taken.then(() => this.#start());
    return this.#next.finally(() => {
      this.#asked -= 1;
    });
  }

  async #start(): Promise<LogPage | undefined> {
    this.#next = undefined;
    const taking = takeSnapshot(this.#sql, this.#sessionId);
    this.#taken = taking.catch(() => undefined);
    const snapshot = await taking;
    return snapshot && snapshotPage(snapshot);
  }
}

type Read =
  | { readonly kind: 'read'; readonly delivery: Delivery | undefined; readonly more: boolean }
  | { readonly kind: 'gone' }
  | { readonly kind: 'unavailable' };

async function liveFrom(subscription: Subscription, signal: AbortSignal | undefined): Promise<Delivery | undefined> {
  const page = await subscription.next(signal);
  return page && new Delivery(page, true);
}

function retryLater(error: unknown): Read {
  if (isOutage(error)) return { kind: 'unavailable' };
  throw error;
}

function noSuchSession(sessionId: SessionId): LonghaulError {
  return new LonghaulError(
    'session_not_found',
    `There is no session ${sessionId}: list them with the tasks (longhaul ls).`,
  );
}
