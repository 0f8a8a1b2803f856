/**
 * Compacts the frame log at intervals while a backend runs, so that the log stays small. If several backends use one
 * database, one of them compacts at a time.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { compactFrames } from '../frames/compact.ts';
import { isConnectionLoss, type Sql } from '../store/sql.ts';

/**
 * Pause between two compactions. No reader waits for a compaction, because the removed frames are at least a minute
 * old.
 */
const INTERVAL_MS = 60_000;

export interface CompactionDeps {
  readonly sql: Sql;
  readonly log: {
    info(fields: object, message: string): void;
    error(fields: object, message: string): void;
  };
  readonly signal: AbortSignal;
}

/** Compacts at intervals until `signal` is aborted. Resolves when the current batch is done. Never rejects. */
export async function keepCompacting({ sql, log, signal }: CompactionDeps): Promise<void> {
  const stopped = (): boolean => signal.aborted;
  while (!stopped()) {
    try {
      const done = await compactFrames(sql, signal);
      if (done && done.frames > 0) log.info({ ...done }, 'frames of finished messages were removed');
    } catch (error) {
      // During an outage this loop logs nothing, because intake reports the outage. The next round compacts what this
      // round did not.
      if (!isConnectionLoss(error)) log.error({ err: error }, 'the frame log was not compacted');
    }
    await delay(INTERVAL_MS, undefined, { signal }).catch(() => undefined);
  }
}
