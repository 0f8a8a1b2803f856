/** Measures the excess time of a task over the same agent run bare. */
import type { BareResult, BareRun } from '../bare-run.ts';
import type { Bench, BenchOptions } from '../bench.ts';
import { repetitions } from '../bench.ts';
import { startChild } from '../child.ts';
import type { Line, Outcome } from '../report.ts';
import { measurePairs, paired } from '../statistics.ts';
import { agentPath, type Stage } from '../stage.ts';

const BARE = [
  'bare: git worktree add --detach; spawn; initialize, session/new, session/prompt by a client of 60 lines; end of stdin; the ' +
    "agent's exit; git add --all; git diff --cached --binary; git worktree remove --force; from a process that does only this",
  'ours: from created_at to ended_at of the row; both in turn on one project of 4 files, the first of a pair changing',
];

interface Comparison {
  readonly agent: string;
  readonly prompt: string;
  readonly bare: Pick<BareRun, 'command' | 'args' | 'env'>;
  readonly pairs: number;
  readonly warmUp: number;
}

async function compare(stage: Stage, wanted: Comparison): Promise<Line[]> {
  const { agent, prompt } = wanted;
  const child = await startChild('./bare-run.ts', stage.signal);
  const question: BareRun = { folder: stage.home, project: stage.project.path, prompt, ...wanted.bare };
  try {
    const a = async (): Promise<number> => (await stage.run(agent, prompt)).took_ms;
    const b = async (): Promise<number> => {
      const { ms, diffBytes } = await child.ask<BareResult>(question);
      if (diffBytes === 0) throw new Error(`${agent} run bare made no diff: it did not carry out its prompt`);
      return ms;
    };
    await measurePairs(wanted.warmUp, { a, b });
    const pairs = await measurePairs(wanted.pairs, { a, b });
    const { excess, ratio, ...sides } = paired(pairs);
    const n = pairs.length;
    return [
      { what: `${agent}: a task`, n, unit: 'ms', figures: { ...sides.a } },
      { what: `${agent}: bare`, n, unit: 'ms', figures: { ...sides.b } },
      {
        what: `${agent}: excess`,
        n,
        unit: 'ms',
        figures: { ...excess, 'ratio p50': ratio },
        target: { figure: 'p50', atMost: 150 },
      },
    ];
  } finally {
    await child.close();
  }
}

export const trivial: Bench = {
  name: 'trivial',
  about: 'one task with an agent that does next to nothing, against that agent run bare',
  stage: 'usual',
  async run(stage: Stage, options: BenchOptions): Promise<Outcome> {
    const lines = await compare(stage, {
      agent: 'trivial',
      prompt: 'Write written.txt.',
      bare: { command: agentPath('trivial'), args: [], env: stage.env },
      pairs: repetitions(options, { full: 40, quick: 3 }),
      warmUp: 4,
    });
    return { conditions: BARE, lines };
  },
};

export const opencode: Bench = {
  name: 'opencode',
  about: 'one task with opencode and a model that answers at once, against opencode run bare',
  stage: 'opencode',
  async run(stage: Stage, options: BenchOptions): Promise<Outcome> {
    const lines = await compare(stage, {
      agent: 'opencode',
      prompt: 'Write written.txt.',
      bare: { command: 'opencode', args: ['acp'], env: stage.env },
      pairs: repetitions(options, { full: 12, quick: 1 }),
      warmUp: 1,
    });
    return {
      conditions: [...BARE, 'the model: one tool call that writes a file, then one word; both without delay'],
      lines,
    };
  },
};
