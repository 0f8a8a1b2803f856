/** Signals the runs of tasks, several at once, and signals each one again after a pause for as long as it is due. */
import type { TemporalHealth } from './temporal-health.ts';

const SIGNALS_AT_ONCE = 10;

export interface RepeatedSignalsOptions<Item> {
  readonly health: TemporalHealth;
  /** Pause in milliseconds before a run is signalled again. */
  readonly againMs: number;
  readonly keyOf: (item: Item) => string;
  /** Resolves with `false` if the item is to be signalled again at the next call. */
  readonly signal: (item: Item) => Promise<boolean>;
  /** Says what failed, for the log. */
  readonly failure: (item: Item) => string;
}

export class RepeatedSignals<Item> {
  readonly #options: RepeatedSignalsOptions<Item>;
  /** The time of the last signal to each item's run. */
  readonly #signalledAt = new Map<string, number>();

  constructor(options: RepeatedSignalsOptions<Item>) {
    this.#options = options;
  }

  /**
   * Signals those runs that are due. `open`: all items whose runs must be signalled until they are no longer in this
   * list. For an item that is no longer in the list, the time of its last signal is forgotten.
   */
  async send(open: readonly Item[]): Promise<void> {
    const { health, againMs, keyOf, signal, failure } = this.#options;
    const now = Date.now();
    const items = new Map(open.map((item) => [keyOf(item), item]));
    for (const key of this.#signalledAt.keys()) if (!items.has(key)) this.#signalledAt.delete(key);
    const due = [...items].filter(([key]) => now - (this.#signalledAt.get(key) ?? 0) >= againMs).values();
    const sendNext = async (): Promise<void> => {
      for (const [key, item] of due) {
        if (health.trouble !== undefined) return; // the next call signals the others, once Temporal is available
        try {
          if (await signal(item)) this.#signalledAt.set(key, now);
        } catch (error) {
          health.handleError(error, failure(item));
        }
      }
    };
    await Promise.all(Array.from({ length: SIGNALS_AT_ONCE }, sendNext));
  }
}
