/**
 * Compares three forms of a session's worktree: a git worktree of the project (as before mirrors), a git worktree of a
 * bare mirror of the project, and a repository of its own that borrows the mirror's objects. It runs plain git and none
 * of our steps. docs/decisions/0019 has the figures.
 */
import { randomBytes } from 'node:crypto';
import { appendFile, mkdir, mkdtemp, readdir, realpath, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { gitIn, makeRepository } from '../../test/lab/repositories.ts';
import type { Bench, BenchOptions } from '../bench.ts';
import { repetitions } from '../bench.ts';
import type { Line, Outcome } from '../report.ts';
import { median } from '../statistics.ts';

const FOLDERS = 200;
const CHANGED = 10;
const AT_ONCE = 20;
const CHECKOUT = ['-c', 'checkout.workers=4', '-c', 'gc.auto=0'];

interface Site {
  readonly folder: string;
  readonly project: string;
  readonly mirror: string;
}

/** One form of a worktree. `collect` stores a commit with the worktree's files in the project or the mirror. */
interface Form {
  readonly name: string;
  create(site: Site, worktree: string): Promise<unknown>;
  collect(site: Site, worktree: string, ref: string): Promise<unknown>;
  remove(site: Site, worktree: string): Promise<unknown>;
}

async function storeIn(target: string, worktree: string, ref: string): Promise<void> {
  await gitIn(worktree, 'add', '--all');
  const tree = (await gitIn(worktree, 'write-tree')).trim();
  const commit = (await gitIn(worktree, 'commit-tree', '-p', 'HEAD', '-m', 'bench', tree)).trim();
  await gitIn(target, 'update-ref', ref, commit);
}

const entryOf = (owner: (site: Site) => string): Omit<Form, 'name'> => ({
  create: (site, worktree) => gitIn(owner(site), ...CHECKOUT, 'worktree', 'add', '-q', '--detach', worktree, 'HEAD'),
  collect: (site, worktree, ref) => storeIn(owner(site), worktree, ref),
  remove: (site, worktree) => gitIn(owner(site), 'worktree', 'remove', '--force', worktree),
});

/**
 * Makes a repository that borrows objects from the mirror. Its `.git` is written without a git process; git only checks
 * the files out.
 */
async function borrow({ mirror }: Site, worktree: string): Promise<void> {
  const head = (await gitIn(mirror, 'rev-parse', 'HEAD')).trim();
  const dir = path.join(worktree, '.git');
  await mkdir(path.join(dir, 'objects', 'info'), { recursive: true });
  await mkdir(path.join(dir, 'refs'));
  await writeFile(path.join(dir, 'objects', 'info', 'alternates'), `${mirror}/objects\n`);
  await writeFile(path.join(dir, 'HEAD'), `${head}\n`);
  await writeFile(path.join(dir, 'config'), '[core]\n\trepositoryformatversion = 0\n\tbare = false\n');
  await gitIn(worktree, ...CHECKOUT, 'reset', '-q', '--hard');
}

const FORMS: readonly Form[] = [
  { name: 'git worktree of the project', ...entryOf(({ project }) => project) },
  { name: 'git worktree of the mirror', ...entryOf(({ mirror }) => mirror) },
  {
    name: 'repository that borrows',
    create: borrow,
    async collect({ mirror }, worktree, ref) {
      await storeIn(worktree, worktree, 'refs/longhaul/result');
      await gitIn(mirror, 'fetch', '-q', '--no-tags', worktree, `+refs/longhaul/result:${ref}`);
    },
    remove: (_, worktree) => rm(worktree, { recursive: true, force: true }),
  },
];

async function timedMs(work: () => Promise<unknown>): Promise<number> {
  const started = performance.now();
  await work();
  return performance.now() - started;
}

async function changeFiles(worktree: string): Promise<void> {
  const names = (await readdir(worktree)).filter((name) => name !== '.git').slice(0, CHANGED);
  for (const name of names) await appendFile(path.join(worktree, name, 'file0.js'), '\n// changed\n');
}

interface Measured {
  readonly create: number[];
  readonly again: number[];
  readonly collect: number[];
  readonly remove: number[];
}

/**
 * Times one worktree from its creation to its removal. `again` is the time of `git status`, with which a second turn
 * would check that an existing worktree is clean.
 */
async function live(site: Site, form: Form, at: number, into: Measured): Promise<void> {
  const worktree = path.join(site.folder, `${at}-${form.name.replaceAll(' ', '-')}`);
  into.create.push(await timedMs(() => form.create(site, worktree)));
  into.again.push(await timedMs(() => gitIn(worktree, 'status', '--porcelain')));
  await changeFiles(worktree);
  into.collect.push(await timedMs(() => form.collect(site, worktree, `refs/longhaul/tasks/${at}`)));
  into.remove.push(await timedMs(() => form.remove(site, worktree)));
}

async function lives(site: Site, label: string, n: number): Promise<Line[]> {
  const found = FORMS.map(() => ({ create: [], again: [], collect: [], remove: [] }) satisfies Measured);
  for (let at = 0; at < n; at += 1) {
    for (const [index, form] of FORMS.entries()) {
      const into = found[index];
      if (into) await live(site, form, at, into);
    }
  }
  return FORMS.map(({ name }, index) => ({
    what: `${label}: ${name}`,
    n,
    unit: 'ms',
    figures: Object.fromEntries(Object.entries(found[index] ?? {}).map(([step, values]) => [step, median(values)])),
  }));
}

/**
 * Makes twenty worktrees at the same time. Reports the time, and how many of them git refused because another one held
 * a lock.
 */
async function together(site: Site, label: string): Promise<Line[]> {
  const lines: Line[] = [];
  for (const form of FORMS) {
    const worktrees = Array.from({ length: AT_ONCE }, (_, at) => path.join(site.folder, `together-${at}`));
    let refused = 0;
    const ms = await timedMs(() =>
      Promise.all(worktrees.map((worktree) => form.create(site, worktree).catch(() => (refused += 1)))),
    );
    lines.push({ what: `${label}, ${AT_ONCE} at once: ${form.name}`, n: 1, unit: '', figures: { ms, refused } });
    for (const worktree of worktrees) await form.remove(site, worktree).catch(() => undefined);
    await Promise.all(worktrees.map((worktree) => rm(worktree, { recursive: true, force: true })));
    await gitIn(site.project, 'worktree', 'prune');
    await gitIn(site.mirror, 'worktree', 'prune');
  }
  return lines;
}

async function bytesOf(folder: string, seen: Set<string>): Promise<number> {
  const names = await readdir(folder, { recursive: true, withFileTypes: true });
  let bytes = 0;
  for (const entry of names.filter((one) => one.isFile())) {
    const { ino, blocks } = await stat(path.join(entry.parentPath, entry.name));
    if (!seen.has(String(ino))) bytes += blocks * 512;
    seen.add(String(ino));
  }
  return bytes;
}

const MIRRORS: readonly (readonly [string, readonly string[]])[] = [
  ['hard links', ['--local']],
  ['alternates', ['--shared']],
  ['a copy', ['--no-hardlinks']],
];

/**
 * Measures how long it takes to make a mirror and to sync the mirror after one commit of the user, and the disk that
 * the mirror uses in addition to the project.
 */
async function mirrors({ folder, project }: Site, label: string): Promise<Line[]> {
  const lines: Line[] = [];
  for (const [name, flags] of MIRRORS) {
    const target = path.join(folder, 'tried.git');
    const make = await timedMs(() => gitIn(project, 'clone', '-q', '--bare', ...flags, project, target));
    const seen = new Set<string>();
    await bytesOf(path.join(project, '.git'), seen);
    const mb = (await bytesOf(target, seen)) / 1e6;
    await writeFile(path.join(project, 'note.txt'), randomBytes(20).toString('hex'));
    await gitIn(project, 'add', '--all');
    await gitIn(project, 'commit', '-q', '-m', 'the user commits');
    const sync = await timedMs(() => gitIn(target, 'fetch', '-q', '--no-tags', project, '+HEAD:refs/heads/main'));
    await rm(target, { recursive: true });
    lines.push({ what: `${label}, mirror by ${name}`, n: 1, unit: '', figures: { make, sync, mb } });
  }
  return lines;
}

function filesOf(count: number): [string, string][] {
  const body = (at: number): string => `export const value${at} = ${at};\n`.repeat(40);
  return Array.from({ length: count }, (_, at) => [
    `folder${at % Math.min(FOLDERS, count)}/file${Math.floor(at / FOLDERS)}.js`,
    body(at),
  ]);
}

async function measure(
  options: BenchOptions,
  label: string,
  fill: (project: string) => Promise<void>,
  { n, isTogether }: { n: number; isTogether: boolean },
): Promise<Line[]> {
  const folder = await realpath(await mkdtemp(path.join(tmpdir(), 'longhaul-bench-mirror-')));
  try {
    const site = { folder, project: path.join(folder, 'project'), mirror: path.join(folder, 'mirror.git') };
    await fill(site.project);
    await gitIn(site.project, 'gc', '--quiet');
    const made = await mirrors(site, label);
    await gitIn(site.project, 'clone', '-q', '--bare', site.project, site.mirror);
    options.signal.throwIfAborted();
    return [...made, ...(await lives(site, label, n)), ...(isTogether ? await together(site, label) : [])];
  } finally {
    await rm(folder, { recursive: true, force: true, maxRetries: 5 });
  }
}

export const mirror: Bench = {
  name: 'mirror',
  about: 'forms of a worktree: of the project, of a mirror, or a repository that borrows from a mirror',
  stage: 'none',
  onlyByName: true,
  async run(options: BenchOptions): Promise<Outcome> {
    const lines: Line[] = [];
    for (const count of options.quick ? [20] : [20, 2_000, 20_000]) {
      const fill = async (project: string): Promise<void> =>
        void (await makeRepository(project, Object.fromEntries(filesOf(count))));
      const n = repetitions(options, { full: count > 5_000 ? 5 : 9, quick: 2 });
      lines.push(...(await measure(options, `${count} files`, fill, { n, isTogether: count <= 2_000 })));
    }
    if (!options.quick) lines.push(...(await measure(options, '1 GB', fillLarge, { n: 1, isTogether: false })));
    return {
      conditions: [
        'plain git, all objects in one pack, everything in the page cache; the forms take turns',
        'again: git status in a worktree that is there; collect: 10 changed files to a commit under a ref; 1 GB: 64 random files',
      ],
      lines,
    };
  },
};

async function fillLarge(project: string): Promise<void> {
  await makeRepository(project, Object.fromEntries(filesOf(20)));
  for (let at = 0; at < 64; at += 1)
    await writeFile(path.join(project, `large${at}.bin`), randomBytes(16 * 1024 * 1024));
  await gitIn(project, 'add', '--all');
  await gitIn(project, 'commit', '-q', '-m', 'large files');
}
