/** Wakes a loop when frames are announced. It is reset before each read of the log, so a notification during the read is not lost. */
export class Waker {
  #newest = 0;
  #resolve: (() => void) | undefined;

  wake(seq: number): void {
    this.#newest = Math.max(this.#newest, seq);
    this.#resolve?.();
  }

  reset(): void {
    this.#newest = 0;
  }

  /** Until something above `position` is announced, `timeoutMs` have passed or the signal is aborted. */
  async wait(position: number, timeoutMs: number, signal: AbortSignal): Promise<void> {
    if (this.#newest > position || signal.aborted) return;
    await new Promise<void>((resolve) => {
      const done = (): void => {
        clearTimeout(timer);
        signal.removeEventListener('abort', done);
        this.#resolve = undefined;
        resolve();
      };
      const timer = setTimeout(done, timeoutMs);
      signal.addEventListener('abort', done);
      this.#resolve = done;
    });
  }
}
