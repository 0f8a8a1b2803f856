/** Work of intake beside its loop. A stop waits for it for a short time, then ends its calls to Temporal. */
import type { Client } from '@temporalio/client';

export class BackgroundWork {
  readonly #temporal: Client;
  readonly #onDone: () => void;
  readonly #pending = new Set<Promise<void>>();
  readonly #giveUp = new AbortController();

  /** `onDone` is called after each piece of work. */
  constructor(temporal: Client, onDone: () => void) {
    this.#temporal = temporal;
    this.#onDone = onDone;
  }

  /** `work` must not reject. */
  run(work: () => Promise<unknown>): void {
    const pending = this.#temporal
      .withAbortSignal(this.#giveUp.signal, work)
      .then(() => undefined)
      .finally(() => {
        this.#pending.delete(pending);
        this.#onDone();
      });
    this.#pending.add(pending);
  }

  /** Resolves when all work is done. Calls to Temporal without a response after `graceMs` are cancelled. */
  async finish(graceMs: number): Promise<void> {
    const giveUp = setTimeout(() => this.#giveUp.abort(), graceMs);
    await Promise.all(this.#pending);
    clearTimeout(giveUp);
  }
}
