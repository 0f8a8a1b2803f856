/** Measures how long twenty tasks take that are submitted at once. */
import type { Bench, BenchOptions } from '../bench.ts';
import { legacyEnded, submitLegacy, withLegacy } from '../legacy.ts';
import type { Line, Outcome } from '../report.ts';
import { median } from '../statistics.ts';
import type { Stage } from '../stage.ts';

const INPUT = 'Write written.txt.';
const TASKS = 20;

async function allAtOnceMs(stage: Stage, count: number): Promise<number> {
  const ids = await stage.submitMany('trivial', INPUT, count);
  await stage.allEnded(ids);
  const [row] = await stage.sql<{ ms: number }[]>`
    SELECT extract(epoch FROM max(ended_at) - min(created_at))::float8 * 1000 AS ms FROM tasks WHERE id = ANY(${ids})`;
  return row?.ms ?? Number.NaN;
}

async function legacyMs(stage: Stage, count: number): Promise<number> {
  return withLegacy(stage, 1, async ([schema = '']) => {
    await submitLegacy(stage, schema, count);
    return Math.max(...(await legacyEnded(stage, schema)).map(({ took_ms }) => took_ms));
  });
}

async function together(stage: Stage, options: BenchOptions, slots: string): Promise<{ lines: Line[]; ours: number }> {
  const rounds = options.quick ? 1 : 3;
  await allAtOnceMs(stage, TASKS); // A first run warms up processes and caches; its result is not used.
  const singles: number[] = [];
  const alls: number[] = [];
  for (let round = 0; round < rounds; round += 1) {
    for (let one = 0; one < 3; one += 1) singles.push((await stage.run('trivial', INPUT)).took_ms);
    alls.push(await allAtOnceMs(stage, TASKS));
  }
  const ours = median(alls);
  const serial = median(singles) * TASKS;
  const lines: Line[] = [
    { what: `${TASKS} at once, ${slots}: until the last is done`, n: rounds, unit: 'ms', figures: { p50: ours } },
    {
      what: `${TASKS} × one task by itself, ${slots}`,
      n: singles.length,
      unit: 'ms',
      figures: { p50: serial, ratio: serial / ours },
    },
  ];
  return { lines, ours };
}

const CONDITIONS = [
  'the trivial agent; rows inserted by one statement; from then until the last one is final; ratio: how many times as long as at once',
];

export const atOnce: Bench = {
  name: 'at-once',
  about: '20 tasks at once with the usual number of agent slots, against one after the other and against legacy',
  stage: 'usual',
  async run(stage: Stage, options: BenchOptions): Promise<Outcome> {
    const { lines, ours } = await together(stage, options, 'usual slots');
    const count = options.quick ? 2 : TASKS;
    const legacy = await legacyMs(stage, count);
    // In a quick run the old dispatcher gets fewer than twenty tasks, so there is nothing to compare with.
    const figures: Line['figures'] = count === TASKS ? { once: legacy, ratio: legacy / ours } : { once: legacy };
    return {
      conditions: [...CONDITIONS, 'legacy: as in the bench spawn; it takes one row at each look, every 5 s'],
      lines: [...lines, { what: `${count} at once, legacy`, n: 1, unit: 'ms', figures }],
    };
  },
};

export const atOnceWide: Bench = {
  name: 'at-once-wide',
  about: '20 tasks at once with a slot for each',
  stage: 'twenty slots',
  async run(stage: Stage, options: BenchOptions): Promise<Outcome> {
    return { conditions: CONDITIONS, lines: (await together(stage, options, '24 slots')).lines };
  },
};
