/**
 * What the worker process counts, on its way to the backend's /metrics. The SDK's core keeps the counters, its own and
 * ours, and shows them on a port of this machine; from there they go into the database, where any backend finds them,
 * on another machine too, behind its token.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';
import type { Sql } from '../store/sql.ts';
import { putWorkerMetrics } from '../store/worker-metrics.ts';

const EVERY_MS = 10_000;
const ASK_MS = 5_000;

export interface MetricsExport {
  readonly sql: Sql;
  /** Its name among the workers of the database. */
  readonly worker: string;
  /** Where the core shows them. */
  readonly address: string;
  readonly log: Logger;
  readonly signal: AbortSignal;
}

/** Goes on until it is stopped. Resolves then; what fails is tried again with the next round. */
export async function exportMetrics({ sql, worker, address, log, signal }: MetricsExport): Promise<void> {
  let failing = false;
  while (!signal.aborted) {
    try {
      const answer = await fetch(`http://${address}/metrics`, { signal: AbortSignal.timeout(ASK_MS) });
      await putWorkerMetrics(sql, worker, await answer.text());
      failing = false;
    } catch (error) {
      if (!failing) log.warn({ err: error }, 'metrics could not be handed on; this is tried again');
      failing = true;
    }
    await sleep(EVERY_MS, undefined, { signal }).catch(() => undefined);
  }
}
