/**
 * Stores the counters that each worker last reported, for the backend's /metrics. The column `host` contains the
 * worker's name; the column is named so because a host once had one worker only.
 */
import type { Db } from './sql.ts';

/**
 * Stores a worker's metrics as text in Prometheus' format. Removes the rows of workers that have not reported for long.
 */
export async function putWorkerMetrics(db: Db, worker: string, metrics: string): Promise<void> {
  await db`
    WITH gone AS (DELETE FROM worker_metrics WHERE host <> ${worker} AND at < clock_timestamp() - interval '1 hour')
    INSERT INTO worker_metrics (host, metrics, at) VALUES (${worker}, ${metrics}, clock_timestamp())
    ON CONFLICT (host) DO UPDATE SET metrics = EXCLUDED.metrics, at = EXCLUDED.at`;
}

/** Returns the seconds since the worker's last report. Returns undefined if the worker has not reported. */
export async function secondsSinceMetrics(db: Db, worker: string): Promise<number | undefined> {
  const [row] = await db<{ seconds: number }[]>`
    SELECT extract(epoch FROM clock_timestamp() - at)::float8 AS seconds FROM worker_metrics WHERE host = ${worker}`;
  return row?.seconds;
}

/** Returns the metrics of the workers that have reported within the last `withinS` seconds. */
export async function recentWorkerMetrics(db: Db, withinS: number): Promise<string[]> {
  const rows = await db<{ metrics: string }[]>`
    SELECT metrics FROM worker_metrics
     WHERE at > clock_timestamp() - make_interval(secs => ${withinS}) ORDER BY host`;
  return rows.map(({ metrics }) => metrics);
}
