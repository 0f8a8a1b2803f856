/**
 * The counters that each worker last reported, on their way from the worker to the backend's /metrics. The column `host` is
 * from when a host had one worker only; it names the worker.
 */
import type { Db } from './sql.ts';

/** Text in Prometheus' format. Rows of workers that have not reported for long are removed. */
export async function putWorkerMetrics(db: Db, worker: string, metrics: string): Promise<void> {
  await db`
    WITH gone AS (DELETE FROM worker_metrics WHERE host <> ${worker} AND at < clock_timestamp() - interval '1 hour')
    INSERT INTO worker_metrics (host, metrics, at) VALUES (${worker}, ${metrics}, clock_timestamp())
    ON CONFLICT (host) DO UPDATE SET metrics = EXCLUDED.metrics, at = EXCLUDED.at`;
}

/** Seconds since the worker's last report; undefined: there was none. */
export async function secondsSinceMetrics(db: Db, worker: string): Promise<number | undefined> {
  const [row] = await db<{ seconds: number }[]>`
    SELECT extract(epoch FROM clock_timestamp() - at)::float8 AS seconds FROM worker_metrics WHERE host = ${worker}`;
  return row?.seconds;
}

/** The metrics of workers that have reported within the last `withinS` seconds. */
export async function recentWorkerMetrics(db: Db, withinS: number): Promise<string[]> {
  const rows = await db<{ metrics: string }[]>`
    SELECT metrics FROM worker_metrics
     WHERE at > clock_timestamp() - make_interval(secs => ${withinS}) ORDER BY host`;
  return rows.map(({ metrics }) => metrics);
}
