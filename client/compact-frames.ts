/** Keeps the frame log small while a backend runs. Of several backends on one database one compacts at a time. */
import { setTimeout as delay } from 'node:timers/promises';
import { compactFrames } from '../frames/compact.ts';
import { isConnectionLoss, type Sql } from '../store/sql.ts';

/** The removed frames are at least a minute old, so no reader waits for a compaction. */
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
      // An outage: intake reports it, and the next round compacts what this one did not.
      if (!isConnectionLoss(error)) log.error({ err: error }, 'the frame log was not compacted');
    }
    await delay(INTERVAL_MS, undefined, { signal }).catch(() => undefined);
  }
}
