/** Reads the metrics that all processes share: those of the workers and those of the database. */
import type { Db } from '../store/sql.ts';
import { countTasks, type TaskCounts } from '../store/task-counts.ts';
import { recentWorkerMetrics } from '../store/worker-metrics.ts';

/** A worker exports its metrics every 10 s. If it has exported none for this long, it counts as gone. */
const FRESH_S = 60;

export interface SharedMetrics {
  readonly tasks: TaskCounts;
  /** The metrics of all workers together, as text in Prometheus' format. */
  readonly workers: string;
}

export async function sharedMetrics({ sql }: { readonly sql: Db }): Promise<SharedMetrics> {
  const [tasks, workers] = await Promise.all([countTasks(sql), recentWorkerMetrics(sql, FRESH_S)]);
  return { tasks, workers: merged(workers) };
}

/**
 * Merges the texts of several workers. The format requires that all lines of one metric follow one header. A label of
 * each line names its worker.
 */
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
