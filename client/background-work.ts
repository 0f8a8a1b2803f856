/** Work of intake beside its loop. A stop waits for it for a short time, then ends its calls to Temporal. */
import { setMaxListeners } from 'node:events';
import type { Client } from '@temporalio/client';

export class BackgroundWork {
  readonly #temporal: Client;
  readonly #onDone: () => void;
  readonly #pending = new Map<Promise<void>, AbortController>();

  /** `onDone` is called after each piece of work. */
  constructor(temporal: Client, onDone: () => void) {
    this.#temporal = temporal;
    this.#onDone = onDone;
  }

  /** `work` must not reject. */
  run(work: () => Promise<unknown>): void {
    // Temporal's client adds a listener for each call and removes none, so each piece of work has a signal of its own.
    const giveUp = new AbortController();
    setMaxListeners(0, giveUp.signal);
    const pending = this.#temporal
      .withAbortSignal(giveUp.signal, work)
      .then(() => undefined)
      .finally(() => {
        this.#pending.delete(pending);
        this.#onDone();
      });
    this.#pending.set(pending, giveUp);
  }

  /** Resolves when all work is done. Calls to Temporal without a response after `graceMs` are cancelled. */
  async finish(graceMs: number): Promise<void> {
    const timer = setTimeout(() => {
      for (const giveUp of this.#pending.values()) giveUp.abort();
    }, graceMs);
    await Promise.all(this.#pending.keys());
    clearTimeout(timer);
  }
}
