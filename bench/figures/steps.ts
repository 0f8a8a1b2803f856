/** Measures how the time of one task is spent. */
import type { Bench } from '../bench.ts';
import { repetitions } from '../bench.ts';
import type { Line } from '../report.ts';
import { median, spread } from '../statistics.ts';
import { timeline } from '../timeline.ts';

const WARM_UP = 5;

export const steps: Bench = {
  name: 'steps',
  about: 'where the time of one task with the trivial agent goes',
  stage: 'usual',
  async run(stage, options) {
    for (let index = 0; index < WARM_UP; index += 1) await stage.run('trivial', 'Warm up.');
    const n = repetitions(options, { full: 20, quick: 3 });
    const moments = new Map<string, number[]>();
    const sinceLast = new Map<string, number[]>();
    for (let index = 0; index < n; index += 1) {
      const { id } = await stage.run('trivial', 'Write written.txt.');
      let lastMs = 0;
      for (const { name, atMs } of await timeline(stage, id)) {
        moments.set(name, [...(moments.get(name) ?? []), atMs]);
        sinceLast.set(name, [...(sinceLast.get(name) ?? []), atMs - lastMs]);
        lastMs = atMs;
      }
    }
    const lines = [...moments].map(([name, at]): Line => {
      const { p50, p95 } = spread(sinceLast.get(name) ?? []);
      return { what: name, n: at.length, unit: 'ms', figures: { at: median(at), took: p50, p95 } };
    });
    return {
      conditions: [
        'at: median of the moment, from created_at; took: median since the moment before it, and its 95th percentile',
        '… scheduled: the workflow has decided; … started: a worker has the step; … completed: Temporal has its result',
        '… begun: a local activity, by the clock of the worker; its end is recorded nowhere and lies before the next moment',
        "moments of rows and frames by Postgres' clock, those of steps by Temporal's; one machine, one clock",
      ],
      lines: lines.toSorted((a, b) => (a.figures['at'] ?? 0) - (b.figures['at'] ?? 0)),
    };
  },
};
