/** Measures the number of finished tasks a minute, and the CPU time of each. */
import type { Bench, BenchOptions } from '../bench.ts';
import { repetitions } from '../bench.ts';
import { cpuPerTask, cpuUse } from '../processes.ts';
import type { Line, Outcome, Target } from '../report.ts';
import type { Stage } from '../stage.ts';

const PARALLEL =
  'all rows inserted by one statement; from then until the last one is final; 4 agent slots unless the environment sets another number';
const CPU = 'CPU: user and system time of each part over the same tasks, from /proc; divided by their number';

interface Load {
  readonly what: string;
  readonly agent: string;
  readonly input: string;
  readonly tasks: number;
  readonly target: Target;
}

async function measure(stage: Stage, { what, agent, input, tasks, target }: Load): Promise<Line[]> {
  await stage.allEnded(await stage.submitMany(agent, input, Math.min(12, tasks)));
  const before = await cpuUse(stage);
  const ids = await stage.submitMany(agent, input, tasks);
  await stage.allEnded(ids);
  const after = await cpuUse(stage);
  const [row] = await stage.sql<{ seconds: number }[]>`
    SELECT extract(epoch FROM max(ended_at) - min(created_at))::float8 AS seconds FROM tasks WHERE id = ANY(${ids})`;
  const seconds = row?.seconds ?? Number.NaN;
  const cpu = cpuPerTask(before, after, tasks);
  const total = Object.values(cpu).reduce((sum, ms) => sum + ms, 0);
  return [
    { what, n: tasks, unit: 'tasks/min', figures: { rate: (tasks / seconds) * 60 }, target },
    { what: 'CPU a task', n: tasks, unit: 'ms', figures: { total, ...cpu } },
  ];
}

export const throughput: Bench = {
  name: 'throughput',
  about: 'finished tasks a minute with the demo agent and git, and the CPU of each part',
  stage: 'usual',
  async run(stage: Stage, options: BenchOptions): Promise<Outcome> {
    const lines = await measure(stage, {
      what: 'demo agent, git: finished tasks',
      agent: 'demo',
      input: 'Write hello.txt with "Hello". Say "Done."',
      tasks: repetitions(options, { full: 80, quick: 6 }),
      target: { figure: 'rate', atLeast: 150 },
    });
    return { conditions: [PARALLEL, CPU, 'a project of 4 files; each task writes one more'], lines };
  },
};

export const engine: Bench = {
  name: 'engine',
  about: 'finished tasks a minute with git and the agent left out',
  stage: 'engine',
  async run(stage: Stage, options: BenchOptions): Promise<Outcome> {
    const lines = await measure(stage, {
      what: 'without git and process: finished tasks',
      agent: 'trivial',
      input: 'Write written.txt.',
      tasks: repetitions(options, { full: 400, quick: 20 }),
      target: { figure: 'rate', atLeast: 1_000 },
    });
    return {
      conditions: [
        PARALLEL,
        CPU,
        'a worker that is given other worktrees and agents (bench/engine): a worktree is an empty folder, its change is always ' +
          'the same, and the agent answers at once; workflow, steps, rows, frames and the fence are real',
      ],
      lines,
    };
  },
};
