/**
 * Holds the part of one turn's log that is in memory: frames that were appended and are not written yet, and the
 * callers that wait for them. Text that waits is joined to longer frames. The frame writer writes the frames.
 *
 * Must never happen: frames are written in another order than they were appended, or are counted twice.
 */
import type { Tx } from '../store/sql.ts';
import type { ChatId, MessageId, SessionId, TaskId } from '../contract/ids.ts';
import { head } from '../contract/cut-text.ts';
import type { LonghaulError } from '../contract/errors.ts';
import { type FrameBody, MAX_DELTA_CHARS } from '../contract/frame.ts';
import { storedBody, type StoredBody } from '../store/stored-body.ts';

/** The size of the frames in memory at which a turn stops reading its agent's stdout. */
export const MAX_BUFFERED_BYTES = 4 * 1024 * 1024;
/** The maximum number of bytes of one session in one statement. */
const BATCH_BYTES = 1024 * 1024;

export interface StreamOptions {
  readonly sessionId: SessionId;
  readonly taskId: TaskId;
  /** The fence token that the attempt took before it made the stream. */
  readonly token: string;
  /** The number of frames that this token has added so far, and the number of the session's last frame. */
  readonly written: number;
  readonly seq: number;
}

/** The interface through which one turn writes to the log. */
export interface FrameStream {
  /** The number of the session's newest frame that this stream knows. */
  readonly seq: number;
  /**
   * Aborted with a LonghaulError as its reason: `superseded`, or the error with which the log refuses the turn's
   * frames.
   */
  readonly lost: AbortSignal;
  append(body: FrameBody): void;
  /**
   * Resolves when there is room for more frames. The turn awaits this promise before it reads more output of the agent.
   */
  room(): Promise<void>;
  /** Resolves when everything that was appended is in the log. Rejects when the stream is lost. */
  flush(): Promise<void>;
  /**
   * Writes the last frames of the turn and executes `work` in one fenced transaction. After this call nothing can be
   * appended. If the connection is lost, `work` may be executed again, but only one execution takes effect. Rejects
   * when the stream is lost or `work` fails. A failure of `work` also loses the stream, and the transaction has no
   * effect.
   */
  commit(frames: readonly FrameBody[], work: (tx: Tx) => Promise<void>): Promise<void>;
  /** Makes the stream refuse further frames. Earlier frames are still written, unless the stream is lost. */
  close(): void;
}

/**
 * Buffers the frames of one turn and exists as long as the turn. The frame writer takes batches from it and reports to
 * it what the log has accepted.
 */
export class Stream implements FrameStream {
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

  /** Appends text. Text that arrives faster than it is written becomes fewer, longer frames. */
  #appendDelta(type: 'delta' | 'reasoning_delta', messageId: MessageId, chatId: ChatId, content: string): void {
    let rest = content;
    while (rest.length > 0) {
      const open = this.#open;
      if (open && open.type === type && open.message_id === messageId && open.content.length < MAX_DELTA_CHARS) {
        const room = MAX_DELTA_CHARS - open.content.length;
        const part = head(rest, room);
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

  /** Returns the next frames to write, the oldest first. They stay pending until `wrote` is called. */
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

  /** True if the writer will write nothing more for this stream. */
  get isOver(): boolean {
    return this.lost.aborted || (this.#closed && !this.hasPending);
  }

  // The frame writer replaces this function, because the writer owns the connection.
  commit: FrameStream['commit'] = () => Promise.reject(new TypeError('a stream is made by a FrameWriter'));
}
