/**
 * Reads the newest part of one session's log once for all readers of this process that have caught up, so a hundred
 * readers cost one query for each notification. A reader takes a page when it has room for it. Until then the page
 * waits in the tail, once for all readers, up to a limit. A reader that falls behind the limit is notified, and reads
 * the log itself.
 *
 * Must never happen: a reader gets a frame twice, misses one, or waits for a slower reader. The tail contains the log
 * above `from` up to `to` without a gap. So the first page above a reader's position has exactly the next frames.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { isConnectionLoss, sqlCode } from '../store/sql.ts';
import type { SessionId } from '../contract/ids.ts';
import type { LogPage, PageRead } from './page.ts';
import type { PageReader } from './page-reader.ts';
import { Notifier } from './notifier.ts';

const POLL_MS = 2_000;
/** The pause before a read of the log is repeated, if the read failed because Postgres is unavailable. */
export const RETRY_MS = 250;
/** The maximum size of the pages of one session that wait for slow readers, in total. */
export const WINDOW_CHARS = 4 * 1024 * 1024;

export interface TailReader {
  /** Called after every read. `reached` says whether the log could be read. */
  readonly onRead?: ((reached: boolean) => void) | undefined;
  /** Called when the tail has dropped pages that the reader has not taken yet. */
  readonly onOvertaken?: (() => void) | undefined;
}

interface TailFollower extends TailReader {
  /** The number of the last frame that the reader got. */
  position: number;
  wake?: (() => void) | undefined;
}

/** The subscription of one reader to the tail. */
export interface Subscription {
  /**
   * Returns the next page. Returns `undefined` if the tail has no more pages for this reader, or if `signal` is
   * aborted.
   */
  next(signal: AbortSignal | undefined): Promise<LogPage | undefined>;
  leave(): void;
}

export class Tail {
  readonly #reader: PageReader;
  readonly #sessionId: SessionId;
  readonly #notifier = new Notifier();
  readonly #stop = new AbortController();
  readonly #followers = new Set<TailFollower>();
  #pages: LogPage[] = [];
  #from: number;
  #to: number;
  readonly #onEnd: () => void;
  #ended = false;

  /**
   * `position`: the number up to which the log is known. `onEnd` is called when the tail will deliver no more pages.
   */
  constructor(log: { reader: PageReader; sessionId: SessionId; position: number; onEnd: () => void }) {
    this.#reader = log.reader;
    this.#sessionId = log.sessionId;
    this.#from = log.position;
    this.#to = log.position;
    this.#onEnd = log.onEnd;
    void this.#run().finally(() => this.#finish());
  }

  /** Returns whether the tail contains, or will get, all frames above the number `position`. */
  reaches(position: number): boolean {
    return position >= this.#from;
  }

  /**
   * Returns the same as `reaches`, for a number that may be above the log's end. The caller uses it before it has read
   * the log.
   */
  holds(position: number): boolean {
    return this.reaches(position) && position <= this.#to;
  }

  wake(seq: number): void {
    this.#notifier.notify(seq);
  }

  /** Adds a reader at a position that the tail reaches. The tail ends when its last reader leaves. */
  join(position: number, reader: TailReader): Subscription {
    const follower: TailFollower = { ...reader, position };
    this.#followers.add(follower);
    // The reader has read the log further than the tail has, so the tail reads up to the reader's position.
    if (position > this.#to) this.wake(position);
    return {
      next: (signal) => this.#next(follower, signal),
      leave: () => {
        this.#followers.delete(follower);
        if (this.#followers.size === 0) this.#finish();
      },
    };
  }

  async #next(follower: TailFollower, signal: AbortSignal | undefined): Promise<LogPage | undefined> {
    for (;;) {
      if (signal?.aborted || follower.position < this.#from) return undefined;
      const page = this.#above(follower.position);
      if (page) {
        follower.position = page.last;
        return page;
      }
      if (this.#ended) return undefined;
      await notified(follower, signal);
    }
  }

  #above(position: number): LogPage | undefined {
    if (position >= this.#to) return undefined;
    const page = this.#pages.find(({ last }) => last > position);
    return page && page.first <= position ? page.above(position) : page;
  }

  /**
   * Reads the log while there are readers. After a permanent error the tail ends without that error: each reader then
   * reads the log itself, and gets the same error.
   */
  async #run(): Promise<void> {
    const { signal } = this.#stop;
    let behind = false;
    while (!signal.aborted) {
      this.#notifier.reset();
      const read = await this.#look(behind);
      if (read === 'unavailable') await delay(RETRY_MS, undefined, { signal }).catch(() => undefined);
      else if (read?.kind !== 'read') return;
      else {
        if (read.page) this.#add(read.page);
        behind = read.more;
        if (!read.more) await this.#notifier.wait({ above: this.#to, timeoutMs: POLL_MS, signal });
      }
    }
  }

  /**
   * Reads the next page. `behind`: the page may be large, so it is read alone and does not delay the pages of other
   * sessions.
   */
  async #look(behind: boolean): Promise<PageRead | 'unavailable' | undefined> {
    const reader = this.#reader;
    let read: PageRead | 'unavailable' | undefined;
    try {
      read = await (behind ? reader.alone(this.#sessionId, this.#to) : reader.together(this.#sessionId, this.#to));
    } catch (error) {
      if (isOutage(error)) read = 'unavailable';
    }
    for (const { onRead } of this.#followers) onRead?.(read !== 'unavailable');
    return read;
  }

  #add(page: LogPage): void {
    this.#pages.push(page);
    this.#to = page.last;
    const taken = Math.min(...Array.from(this.#followers, ({ position }) => position));
    let size = this.#pages.reduce((sum, one) => sum + one.size, 0);
    for (const oldest of this.#pages.slice(0, -1)) {
      if (oldest.last > taken && size <= WINDOW_CHARS) break;
      this.#pages.shift();
      this.#from = oldest.last;
      size -= oldest.size;
    }
    for (const follower of this.#followers) if (follower.position < this.#from) follower.onOvertaken?.();
    this.#wakeFollowers();
  }

  #finish(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#stop.abort();
    this.#onEnd();
    this.#wakeFollowers();
  }

  #wakeFollowers(): void {
    for (const { wake } of this.#followers) wake?.();
  }
}

/**
 * Returns whether the error is an outage of Postgres. CONNECTION_ENDED is not an outage: this process has closed its
 * pool, so no more frames can arrive.
 */
export function isOutage(error: unknown): boolean {
  return isConnectionLoss(error) && sqlCode(error) !== 'CONNECTION_ENDED';
}

async function notified(follower: TailFollower, signal: AbortSignal | undefined): Promise<void> {
  await new Promise<void>((resolve) => {
    const done = (): void => {
      signal?.removeEventListener('abort', done);
      follower.wake = undefined;
      resolve();
    };
    signal?.addEventListener('abort', done);
    follower.wake = done;
  });
}
