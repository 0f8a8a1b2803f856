/**
 * Wakes a loop that reads until it is up to date. The loop calls `reset` before each read, so that a notification
 * during the read is not lost.
 */
export class Notifier {
  #newest = -1;
  #resolve: (() => void) | undefined;

  /** Wakes the loop because the frame number `seq` was written. Without a number it wakes the loop for any reason. */
  notify(seq = Number.MAX_SAFE_INTEGER): void {
    this.#newest = Math.max(this.#newest, seq);
    this.#resolve?.();
  }

  reset(): void {
    this.#newest = -1;
  }

  /** Resolves when a number above `above` is announced, when `timeoutMs` have passed, or when the signal is aborted. */
  async wait({ above = -1, timeoutMs, signal }: WaitOptions = {}): Promise<void> {
    if (this.#newest > above || signal?.aborted) return;
    await new Promise<void>((resolve) => {
      const done = (): void => {
        clearTimeout(timer);
        signal?.removeEventListener('abort', done);
        this.#resolve = undefined;
        resolve();
      };
      const timer = timeoutMs === undefined ? undefined : setTimeout(done, timeoutMs);
      signal?.addEventListener('abort', done);
      this.#resolve = done;
    });
  }
}

export interface WaitOptions {
  readonly above?: number;
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
}
