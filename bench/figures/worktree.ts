/** Compares our steps for the worktree of a large repository with git's own best time. */
import { mkdtemp, readdir, realpath, rm, writeFile } from 'node:fs/promises';
import { availableParallelism, tmpdir } from 'node:os';
import path from 'node:path';
import { startRunner } from '../../processes/runner.ts';
import { gitIn, makeRepository } from '../../test/lab/repositories.ts';
import { makeWorktrees, taskRef } from '../../worktrees/worktrees.ts';
import type { Bench, BenchOptions } from '../bench.ts';
import { repetitions } from '../bench.ts';
import type { Line, Outcome } from '../report.ts';
import { alternate, median, paired } from '../statistics.ts';

const FILES = 20_000;
const FOLDERS = 200;
/** The number of files that the simulated agent changes. */
const CHANGED = 10;

/** Values of `checkout.workers` to try, because git's checkout is faster with several. */
const WORKERS = [...new Set([1, 2, availableParallelism(), 4, 8])].toSorted((a, b) => a - b);

interface Site {
  readonly folder: string;
  readonly project: string;
  readonly signal: AbortSignal;
}

async function timedMs(work: () => Promise<unknown>): Promise<number> {
  const started = performance.now();
  await work();
  return performance.now() - started;
}

async function change(worktree: string): Promise<void> {
  const folders = (await readdir(worktree)).filter((name) => name.startsWith('folder'));
  for (const folder of folders.slice(0, CHANGED)) await writeFile(path.join(worktree, folder, 'file0.js'), 'changed\n');
}

interface Times {
  readonly create: number;
  readonly diff: number;
  readonly remove: number;
}

async function byGit({ folder, project, signal }: Site, workers: number): Promise<Times> {
  signal.throwIfAborted();
  const worktree = path.join(folder, 'by-git');
  const settings = ['-c', `checkout.workers=${workers}`, '-c', 'checkout.thresholdForParallelism=0'];
  const create = await timedMs(() => gitIn(project, ...settings, 'worktree', 'add', '--quiet', '--detach', worktree));
  await change(worktree);
  const diff = await timedMs(async () => {
    await gitIn(worktree, 'add', '--all');
    await gitIn(worktree, 'diff', '--cached', '--binary');
  });
  const remove = await timedMs(() => gitIn(project, 'worktree', 'remove', '--force', worktree));
  return { create, diff, remove };
}

interface OurTimes extends Times {
  readonly park: number;
  /** The time of a further turn in the parked worktree, whose files already are those of the turn's base. */
  readonly further: number;
  /** The time of a further turn in the parked worktree with another base, so that git writes the files that differ. */
  readonly elsewhere: number;
}

async function byUs({ folder, project, signal }: Site, index: number): Promise<OurTimes> {
  const worktrees = makeWorktrees({ locksDir: path.join(folder, 'locks') });
  const request = { projectPath: project, worktreePath: path.join(folder, 'ours'), owner: `task-${index}`, signal };
  let base = '';
  const create = await timedMs(async () => {
    ({ base } = await worktrees.create(request));
  });
  await change(request.worktreePath);
  const ref = taskRef(`bench-${index}`);
  let result = base;
  const collect = async (owner: string): Promise<void> => {
    const found = await worktrees.collect({ ...request, owner, base: result, ref, message: 'bench' });
    if (found.kind === 'changed') result = found.commit;
  };
  const diff = await timedMs(() => collect(request.owner));
  const park = await timedMs(() => worktrees.park(request));
  const further = await timedMs(() => worktrees.create({ ...request, owner: 'further', base: result }));
  await collect('further');
  await worktrees.park({ ...request, owner: 'further' });
  const elsewhere = await timedMs(() => worktrees.create({ ...request, base }));
  const remove = await timedMs(() => worktrees.remove(request));
  return { create, diff, remove, park, further, elsewhere };
}

/** Returns the setting with the lowest median time. The settings are measured alternately. */
async function bestWorkers(site: Site, rounds: number): Promise<{ best: number; lines: Line[] }> {
  const found = new Map(WORKERS.map((workers) => [workers, [] as number[]]));
  for (let round = 0; round < rounds; round += 1) {
    for (const workers of WORKERS) found.get(workers)?.push((await byGit(site, workers)).create);
  }
  const medians = [...found].map(([workers, values]) => ({ workers, p50: median(values) }));
  const best = medians.toSorted((a, b) => a.p50 - b.p50)[0]?.workers ?? 1;
  const lines = medians.map(({ workers, p50 }) => ({
    what: `git worktree add, checkout.workers=${workers}`,
    n: rounds,
    unit: 'ms',
    figures: { p50 },
  }));
  return { best, lines };
}

async function compareWithGit(site: Site, options: BenchOptions): Promise<Line[]> {
  const { best, lines } = await bestWorkers(site, options.quick ? 1 : 2);
  const n = repetitions(options, { full: 8, quick: 1 });
  const ours: OurTimes[] = [];
  const git: Times[] = [];
  const measure = {
    a: async (index: number): Promise<void> => void ours.push(await byUs(site, index)),
    b: async (): Promise<void> => void git.push(await byGit(site, best)),
  };
  await alternate(n, measure);
  const line = (what: string, part: keyof Times): Line => {
    const { a, b, ratio } = paired(ours.map((mine, index) => ({ a: mine[part], b: git[index]?.[part] ?? Number.NaN })));
    return { what, n, unit: 'ms', figures: { ours: a.p50, git: b.p50, ratio } };
  };
  const again = (what: string, part: 'park' | 'further' | 'elsewhere'): Line => {
    const pairs = ours.map((mine) => ({ a: mine[part], b: mine.create }));
    const { a, ratio } = paired(pairs);
    return { what, n, unit: 'ms', figures: { ours: a.p50, ratio } };
  };
  const further = again('create for a further turn, on the result that is there, against the first turn', 'further');
  const created = line(`create, against checkout.workers=${best}`, 'create');
  return [
    ...lines,
    { ...created, target: { figure: 'ratio', atMost: 1.2 } },
    line(`diff of ${CHANGED} changed files, against git add and git diff`, 'diff'),
    line('remove, against git worktree remove', 'remove'),
    again('park, against create', 'park'),
    { ...further, target: { figure: 'ours', atMost: 50 } },
    again(
      `create for a further turn, on a commit that differs in ${CHANGED} files, against the first turn`,
      'elsewhere',
    ),
  ];
}

export const worktree: Bench = {
  name: 'worktree',
  about: `worktree of a repository with ${FILES} files: create, diff, remove, against git's own best; park, and create for a further turn`,
  stage: 'none',
  async run(options: BenchOptions): Promise<Outcome> {
    startRunner(); // the worker, too, starts git through a runner
    const folder = await realpath(await mkdtemp(path.join(tmpdir(), 'longhaul-bench-worktree-')));
    const files = options.quick ? FILES / 10 : FILES;
    try {
      const names = Array.from(
        { length: files },
        (_, at) => `folder${at % FOLDERS}/file${Math.floor(at / FOLDERS)}.js`,
      );
      const contents = names.map((name, at) => [
        name,
        `// ${name}\n${`export const value${at} = ${at};\n`.repeat(40)}`,
      ]);
      const project = path.join(folder, 'project');
      await makeRepository(project, Object.fromEntries(contents));
      // Puts all objects into one pack, as in a cloned repository.
      await gitIn(project, 'gc', '--quiet');
      return {
        conditions: [
          `${files} files of about 1.3 KB in ${FOLDERS} folders, packed; everything in the page cache`,
          'ours: the module that the steps call, locks and records included; git: the command as typed; ratios pair by pair',
        ],
        lines: await compareWithGit({ folder, project, signal: options.signal }, options),
      };
    } finally {
      await rm(folder, { recursive: true, force: true, maxRetries: 5 });
    }
  },
};
