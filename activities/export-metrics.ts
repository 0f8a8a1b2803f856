/**
 * Exports the worker's metrics to the backend's /metrics. The SDK's core has the counters, its own and
 * ours, and serves them on a port of this machine; this loop copies them to the database, where any backend reads them,
 * also on another machine.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';
import type { Sql } from '../store/sql.ts';
import { putWorkerMetrics } from '../store/worker-metrics.ts';

const EXPORT_INTERVAL_MS = 10_000;
const FETCH_TIMEOUT_MS = 5_000;

export interface MetricsExport {
  readonly sql: Sql;
  /** Its name among the workers of the database. */
  readonly worker: string;
  /** Where the core serves them. */
  readonly address: string;
  readonly log: Logger;
  readonly signal: AbortSignal;
}

/** Runs until `signal` is aborted. A failed export is repeated with the next round. */
export async function exportMetrics({ sql, worker, address, log, signal }: MetricsExport): Promise<void> {
  let failing = false;
  while (!signal.aborted) {
    try {
      const response = await fetch(`http://${address}/metrics`, { signal: AbortSignal.timeout(FETCH_TIMEOUT_MS) });
      await putWorkerMetrics(sql, worker, await response.text());
      failing = false;
    } catch (error) {
      if (!failing) log.warn({ err: error }, 'metrics were not exported; the next attempt follows');
      failing = true;
    }
    await sleep(EXPORT_INTERVAL_MS, undefined, { signal }).catch(() => undefined);
  }
}
