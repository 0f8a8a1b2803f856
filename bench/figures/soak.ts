/**
 * Runs many short tasks one after another and measures the growth of memory and databases, and what remains at the end.
 */
import { readdir, stat } from 'node:fs/promises';
import path from 'node:path';
import { makeRepository } from '../../test/lab/repositories.ts';
import type { ProjectId, TaskId } from '../../contract/ids.ts';
import { type Bench, type BenchOptions, repetitions } from '../bench.ts';
import { descriptorsOf, rssKb, runnerPid, supervisorPid } from '../processes.ts';
import type { Line, Outcome } from '../report.ts';
import { pause, type Stage } from '../stage.ts';
import { slope } from '../statistics.ts';

/**
 * One task in this many is a complete task, with git, a worktree and the demo agent as a process. The others use no git
 * and no agent process.
 */
const REAL_EVERY = 20;
/** The number of rows that are inserted together. OPEN_AT_MOST limits the open tasks. */
const PORTION = 20;
const OPEN_AT_MOST = 60;
const SAMPLES = 50;
/**
 * The share of tasks at the beginning that the slopes leave out, because code is compiled and pools and caches fill
 * meanwhile.
 */
const WARM_UP = 0.2;
const HANG_MS = 300_000;

interface Sample {
  readonly tasks: number;
  readonly rss: Readonly<Record<string, number>>;
  readonly descriptors: Readonly<Record<string, number>>;
  readonly postgresBytes: number;
  readonly temporalBytes: number;
}

async function watched(stage: Stage): Promise<Record<string, number>> {
  const { worker, backend, temporal } = await stage.pids();
  const runner = await runnerPid(stage);
  return { worker, backend, supervisor: await supervisorPid(stage), ...(runner && { runner }), temporal };
}

async function sample(stage: Stage, tasks: number): Promise<Sample> {
  const pids = Object.entries(await watched(stage));
  const [row] = await stage.sql<{ bytes: number }[]>`SELECT pg_database_size(current_database())::float8 AS bytes`;
  return {
    tasks,
    rss: Object.fromEntries(pids.map(([name, pid]) => [name, rssKb(pid)])),
    descriptors: Object.fromEntries(pids.map(([name, pid]) => [name, descriptorsOf(pid)])),
    postgresBytes: row?.bytes ?? Number.NaN,
    temporalBytes: await bytesOf(path.join(stage.home, 'temporal')),
  };
}

async function bytesOf(folder: string): Promise<number> {
  const sizes = (await readdir(folder)).map(async (name) => (await stat(path.join(folder, name))).size);
  return (await Promise.all(sizes)).reduce((sum, size) => sum + size, 0);
}

async function realProject(stage: Stage): Promise<ProjectId> {
  const { path: folder } = await makeRepository(path.join(stage.home, 'real'));
  const [row] = await stage.sql<{ id: ProjectId }[]>`
    INSERT INTO projects (name, path) VALUES ('real', ${folder}) RETURNING id`;
  if (!row) throw new TypeError('the insert returned no project');
  return row.id;
}

interface Load {
  readonly project: ProjectId;
  readonly tasks: number;
}

/** Submits the tasks in batches and reports repeatedly how many have ended. */
async function work(stage: Stage, { project, tasks }: Load, told: (ended: number) => Promise<void>): Promise<void> {
  const ids: TaskId[] = [];
  let open: TaskId[] = [];
  const until = async (openAtMost: number): Promise<void> => {
    const deadline = performance.now() + HANG_MS;
    for (;;) {
      stage.signal.throwIfAborted();
      open = await openOf(stage, open);
      if (open.length <= openAtMost) return told(ids.length - open.length);
      if (performance.now() > deadline) throw new Error(`waited ${HANG_MS} ms; open: ${open.length} of ${ids.length}`);
      await pause(50, stage.signal);
    }
  };
  while (ids.length < tasks) {
    const portion = Math.min(PORTION, tasks - ids.length);
    const real = Math.ceil(portion / REAL_EVERY);
    const more = await stage.submitMany('demo', 'Write hello.txt with "Hello". Say "Done."', real, project);
    if (portion > real) more.push(...(await stage.submitMany('trivial', 'Write written.txt.', portion - real)));
    ids.push(...more);
    open.push(...more);
    await until(OPEN_AT_MOST - PORTION);
  }
  await until(0);
  const [row] = await stage.sql<{ n: number }[]>`
    SELECT count(*)::int AS n FROM tasks WHERE id = ANY(${ids}) AND (state <> 'completed' OR kept_worktree IS NOT NULL)`;
  if (row?.n !== 0) throw new Error(`${row?.n} of ${tasks} tasks did not complete, or left their worktree`);
}

async function openOf(stage: Stage, ids: readonly TaskId[]): Promise<TaskId[]> {
  const rows = await stage.sql<{ id: TaskId }[]>`SELECT id FROM tasks WHERE id = ANY(${ids}) AND ended_at IS NULL`;
  return rows.map(({ id }) => id);
}

async function sampled(
  stage: Stage,
  load: Load,
  tell: (ended: number) => void,
): Promise<{ samples: Sample[]; minutes: number }> {
  const samples: Sample[] = [];
  const started = performance.now();
  await work(stage, load, async (ended) => {
    if (ended < (samples.length * load.tasks) / SAMPLES) return;
    samples.push(await sample(stage, ended));
    if (samples.length % 10 === 0) tell(ended);
  });
  return { samples, minutes: (performance.now() - started) / 60_000 };
}

async function settled(stage: Stage, quick: boolean): Promise<void> {
  await pause(quick ? 1_000 : 10_000, stage.signal);
}

const NAMES = ['worktrees', 'locks'] as const;

async function leftIn(stage: Stage): Promise<Record<string, number>> {
  const counts = NAMES.map(async (name) => {
    const entries = await readdir(path.join(stage.home, name)).catch(() => []);
    return [name, entries.length] as const;
  });
  return Object.fromEntries(await Promise.all(counts));
}

function memoryLines(samples: readonly Sample[]): Line[] {
  const [first] = samples;
  const last = samples.at(-1);
  if (!first || !last) return [];
  return Object.keys(last.rss).map((name) => {
    const points = samples.map(({ tasks, rss }) => ({ x: tasks / 1_000, y: rss[name] ?? Number.NaN }));
    const mb = points.map(({ y }) => y / 1_024);
    const figures = {
      'a 1,000 tasks': slope(points) / 1_024,
      from: mb[0] ?? Number.NaN,
      to: mb.at(-1) ?? Number.NaN,
      highest: Math.max(...mb),
    };
    return { what: `memory: ${name}`, n: samples.length, unit: 'MB', figures };
  });
}

function descriptorLines(before: Sample, after: Sample): Line[] {
  return Object.keys(after.descriptors).map((name) => {
    const [from = Number.NaN, to = Number.NaN] = [before.descriptors[name], after.descriptors[name]];
    return {
      what: `descriptors: ${name}`,
      n: 1,
      unit: '',
      figures: { from, to, more: to - from },
      target: { figure: 'more', atMost: 2 },
    };
  });
}

function databaseLines(before: Sample, after: Sample): Line[] {
  const growth = (bytes: 'postgresBytes' | 'temporalBytes'): number =>
    ((after[bytes] - before[bytes]) / 2 ** 20 / (after.tasks - before.tasks)) * 1_000;
  const figures = { Postgres: growth('postgresBytes'), Temporal: growth('temporalBytes') };
  return [{ what: 'databases, a 1,000 tasks', n: 1, unit: 'MB', figures }];
}

export const soak: Bench = {
  name: 'soak',
  about: 'many short tasks, one in twenty a complete one: memory, descriptors, databases, leftovers (-n 10000)',
  onlyByName: true,
  stage: 'engine',
  async run(stage: Stage, options: BenchOptions): Promise<Outcome> {
    const total = repetitions(options, { full: 1_000, quick: 60 });
    const warmUp = Math.ceil(total * WARM_UP);
    const project = await realProject(stage);
    const started = performance.now();
    await work(stage, { project, tasks: warmUp }, async () => {});
    const warmMinutes = (performance.now() - started) / 60_000;
    await settled(stage, options.quick);
    const before = await sample(stage, warmUp);
    const { samples, minutes } = await sampled(stage, { project, tasks: total - warmUp }, (ended) =>
      options.say(`soak: ${warmUp + ended} of ${total} tasks have ended`),
    );
    await settled(stage, options.quick);
    const after = await sample(stage, total);
    const left = await leftIn(stage);
    return {
      conditions: [
        `${OPEN_AT_MOST} tasks open at the most; ${total / REAL_EVERY} of them with git and the demo agent as a process, the others as in \`engine\``,
        `memory: RSS, sampled ${samples.length} times after the first ${warmUp} tasks; the slope is that of the nearest line`,
        'descriptors: counted when no task runs, after those first tasks and at the end; left: the entries that remain in folders of the home',
        'databases: pg_database_size, and all files of the Temporal server; its histories are kept for a day',
      ],
      lines: [
        { what: 'finished tasks', n: total, unit: 'tasks/min', figures: { rate: total / (warmMinutes + minutes) } },
        ...memoryLines(samples),
        ...descriptorLines(before, after),
        ...databaseLines(before, after),
        ...Object.entries(left).map(([name, count]): Line => {
          return { what: `left: ${name}`, n: 1, unit: '', figures: { count }, target: { figure: 'count', atMost: 0 } };
        }),
      ],
    };
  },
};
