/** What there is to count, beyond one process. */
import type { Db } from '../store/sql.ts';
import { countTasks, type TaskCounts } from '../store/task-counts.ts';
import { freshWorkerMetrics } from '../store/worker-metrics.ts';

/** A worker says what it has counted every 10 s; one that has been silent for this long is gone. */
const FRESH_S = 60;

export interface SharedMetrics {
  readonly tasks: TaskCounts;
  /** Of each worker, as text in Prometheus' format. */
  readonly workers: readonly string[];
}

export async function sharedMetrics({ sql }: { readonly sql: Db }): Promise<SharedMetrics> {
  const [tasks, workers] = await Promise.all([countTasks(sql), freshWorkerMetrics(sql, FRESH_S)]);
  return { tasks, workers };
}
