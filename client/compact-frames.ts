/** Keeps the frame log small while a backend runs. Of several backends on one database one is at it at a time. */
import { setTimeout as delay } from 'node:timers/promises';
import { compactFrames } from '../frames/compact.ts';
import { isConnectionLoss, type Sql } from '../store/sql.ts';

/** What it removes is a minute old at least: nobody waits for it. */
const INTERVAL_MS = 60_000;

export interface CompactionDeps {
  readonly sql: Sql;
  readonly log: {
    info(fields: object, message: string): void;
    error(fields: object, message: string): void;
  };
  readonly signal: AbortSignal;
}

/** Resolves when `signal` is aborted and the batch at hand is done. Never rejects. */
export async function keepCompacting({ sql, log, signal }: CompactionDeps): Promise<void> {
  const stopped = (): boolean => signal.aborted;
  while (!stopped()) {
    try {
      const done = await compactFrames(sql, signal);
      if (done && done.frames > 0) log.info({ ...done }, 'frames of finished messages were removed');
    } catch (error) {
      // An outage: the intake says so, and the next round finds what this one has left.
      if (!isConnectionLoss(error)) log.error({ err: error }, 'the frame log could not be compacted');
    }
    await delay(INTERVAL_MS, undefined, { signal }).catch(() => undefined);
  }
}
