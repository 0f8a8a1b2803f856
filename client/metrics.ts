/** What there is to count, beyond one process. */
import type { Db } from '../store/sql.ts';
import { countTasks, type TaskCounts } from '../store/task-counts.ts';
import { freshWorkerMetrics } from '../store/worker-metrics.ts';

/** A worker says what it has counted every 10 s; one that has been silent for this long is gone. */
const FRESH_S = 60;

export interface SharedMetrics {
  readonly tasks: TaskCounts;
  /** Of all workers together, as text in Prometheus' format. */
  readonly workers: string;
}

export async function sharedMetrics({ sql }: { readonly sql: Db }): Promise<SharedMetrics> {
  const [tasks, workers] = await Promise.all([countTasks(sql), freshWorkerMetrics(sql, FRESH_S)]);
  return { tasks, workers: merged(workers) };
}

/** The format wants the lines of one metric together, under one head. Which worker's a line is, its label says. */
function merged(texts: readonly string[]): string {
  const metrics = new Map<string, string[]>();
  for (const text of texts) {
    let lines: string[] = [];
    for (const line of text.split('\n')) {
      const name = /^# (?:HELP|TYPE) (\S+)/.exec(line)?.[1];
      if (name !== undefined) {
        lines = metrics.get(name) ?? [];
        metrics.set(name, lines);
      }
      if (name === undefined || !lines.includes(line)) lines.push(line);
    }
  }
  return [...metrics.values()].flat().join('\n');
}
