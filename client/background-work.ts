/**
 * Runs work of intake that must not block its loop. When intake stops, it waits for the work for a short time, then
 * cancels the work's calls to Temporal.
 */
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

  /** Starts `work`. `work` must not reject. */
  run(work: () => Promise<unknown>): void {
    // Each piece of work has its own abort signal, because Temporal's client adds a listener to the signal for each
    // call and never removes it.
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

  /** Resolves when all work is done. After `graceMs` it cancels the calls to Temporal that have no response. */
  async finish(graceMs: number): Promise<void> {
    const timer = setTimeout(() => {
      for (const giveUp of this.#pending.values()) giveUp.abort();
    }, graceMs);
    await Promise.all(this.#pending.keys());
    clearTimeout(timer);
  }
}
