/**
 * Exports the worker's metrics for the backend's /metrics. The SDK's core has its own metrics and Longhaul's counters,
 * and serves both on a port of this machine. This loop copies the metrics to the database, so that a backend on another
 * machine can also read them.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';
import type { Sql } from '../store/sql.ts';
import { putWorkerMetrics } from '../store/worker-metrics.ts';

const EXPORT_INTERVAL_MS = 10_000;
const FETCH_TIMEOUT_MS = 5_000;

export interface MetricsExport {
  readonly sql: Sql;
  /** The worker's name, unique in the database. */
  readonly worker: string;
  /** The address at which the core serves the metrics. */
  readonly address: string;
  readonly log: Logger;
  readonly signal: AbortSignal;
}

/** Runs until `signal` is aborted. If an export fails, the next round repeats it. */
export async function exportMetrics({ sql, worker, address, log, signal }: MetricsExport): Promise<void> {
  let failing = false;
  while (!signal.aborted) {
    try {
      const response = await fetch(`http://${address}/metrics`, { signal: AbortSignal.timeout(FETCH_TIMEOUT_MS) });
      await putWorkerMetrics(sql, worker, await response.text());
      failing = false;
    } catch (error) {
      if (!failing)
        log.warn({ err: error }, `metrics were not exported; retrying every ${EXPORT_INTERVAL_MS / 1_000} s`);
      failing = true;
    }
    await sleep(EXPORT_INTERVAL_MS, undefined, { signal }).catch(() => undefined);
  }
}
