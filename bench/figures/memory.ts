/** Measures the memory of the parts, idle and with twenty running agents. */
import type { Bench, BenchOptions } from '../bench.ts';
import { memoryUse } from '../processes.ts';
import type { Line, Outcome } from '../report.ts';
import { pause, type Stage } from '../stage.ts';

const AGENTS = 20;

export const memory: Bench = {
  name: 'memory',
  about: 'memory of the parts, idle and with 20 agents at 20 tokens/s',
  stage: 'twenty slots',
  async run(stage: Stage, { quick }: BenchOptions): Promise<Outcome> {
    await stage.run('trivial', 'Warm up.');
    await pause(quick ? 500 : 5_000, stage.signal);
    const idle = await memoryUse(stage);
    const seconds = quick ? 4 : 15;
    const ids = await stage.submitMany('token-stream', `20 tokens/s for ${seconds} s`, AGENTS);
    await untilAllWork(stage, ids);
    await pause((seconds * 1_000) / 3, stage.signal);
    const busy = await memoryUse(stage);
    await stage.allEnded(ids);
    const lines = Object.entries(idle).map(([part, { rssMb, pssMb }]): Line => {
      const then = busy[part];
      const figures = { idle: rssMb, 'with 20': then?.rssMb ?? Number.NaN, 'idle PSS': pssMb, 'with 20 PSS': then?.pssMb ?? Number.NaN }; // prettier-ignore
      return { what: part, n: 1, unit: 'MB', figures };
    });
    return {
      conditions: [
        'RSS, and PSS, which splits what processes share; idle: after the tasks that ran before on this stage, if any, and a pause',
        'runner: the process that starts git and agents for the worker; postgres: all its processes; agents are not in it',
      ],
      lines,
    };
  },
};

async function untilAllWork({ sql, signal }: Stage, ids: readonly string[]): Promise<void> {
  for (;;) {
    signal.throwIfAborted();
    const [row] = await sql<{ working: number }[]>`
      SELECT count(*) AS working FROM attempts WHERE task_id = ANY(${ids}) AND agent_session_id IS NOT NULL`;
    if (row?.working === ids.length) return;
    await pause(50, signal);
  }
}
