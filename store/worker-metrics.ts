/** What each host's worker last said of its counters: on its way from the worker to the backend's /metrics. */
import type { Db } from './sql.ts';

/** Text in Prometheus' format. */
export async function putWorkerMetrics(db: Db, host: string, metrics: string): Promise<void> {
  await db`
    INSERT INTO worker_metrics (host, metrics, at) VALUES (${host}, ${metrics}, clock_timestamp())
    ON CONFLICT (host) DO UPDATE SET metrics = EXCLUDED.metrics, at = EXCLUDED.at`;
}

/** Of workers that have spoken within the last `withinS` seconds. */
export async function freshWorkerMetrics(db: Db, withinS: number): Promise<string[]> {
  const rows = await db<{ metrics: string }[]>`
    SELECT metrics FROM worker_metrics
     WHERE at > clock_timestamp() - make_interval(secs => ${withinS}) ORDER BY host`;
  return rows.map(({ metrics }) => metrics);
}
