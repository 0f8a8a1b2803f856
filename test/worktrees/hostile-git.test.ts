/**
 * What agents do with git in their worktrees reaches neither the project nor another session, no result is lost, and the
 * user's own git works beside it. LONGHAUL_HOSTILE_TASKS: how many tasks; 90 do each deed. By default a sample.
 */
import { execFile } from 'node:child_process';
import { cp, mkdir, readdir } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { expect, test, vi } from 'vitest';
import { gitIn } from '../lab/repositories.ts';
import { DEEDS, GLOBAL_DEEDS, IDENTITY } from './hostile/deeds.ts';
import { bytesOf, repositoryBytes, workOnBoth } from './hostile/user.ts';
import { agentTree, type Lab, openLab } from './lab.ts';

const run = promisify(execFile);
const ALL = Object.entries({ ...DEEDS, ...GLOBAL_DEEDS });
const TASKS = Number(process.env['LONGHAUL_HOSTILE_TASKS'] ?? 24);
/** Prime, so that a sample has some of each kind, and 90 tasks have all. */
const STRIDE = 11;
const LANES = 4;

/** Runs the deed as an agent's shell does: with the user's HOME, and with the exit code of each command looked at. */
async function doDeed(lab: Lab, worktreePath: string, script: string): Promise<void> {
  const env = { PATH: process.env['PATH'], HOME: path.join(lab.root, 'user'), PROJECT: lab.repository.path };
  const options = { cwd: worktreePath, env, timeout: 60_000 };
  await run('sh', ['-c', `${IDENTITY}\n${script}`], options).catch((error: Error & { killed?: boolean }) => {
    if (error.killed === true) throw error; // a deed that hangs is a mistake of this test, one that fails is an agent's
  });
}

interface Ended {
  readonly ref: string;
  readonly commit: string;
}

/** A task, and for every fifth one the next turn of its session, which begins from the result. */
async function workThrough(lab: Lab, at: number): Promise<Ended[]> {
  const [name, script] = ALL[(at * STRIDE) % ALL.length] ?? ['', ''];
  const ended: Ended[] = [];
  for (let turn = 0; turn <= (at % 5 === 0 ? 1 : 0); turn += 1) {
    const base = ended.at(-1)?.commit;
    const worktreePath = path.join(lab.root, 'home/worktrees', `task-${at}-${turn}`);
    const place = { projectPath: lab.repository.path, worktreePath };
    const tree = agentTree(
      lab.worktrees,
      place.projectPath,
      await lab.worktrees.create({ ...place, ...(base && { base }) }),
    );
    await doDeed(lab, worktreePath, script);
    await tree.write({ 'result.txt': `${name} ${at} ${turn}\n` });
    // Every third task is taken up by another attempt, after the deed.
    if (at % 3 === 0)
      expect(await lab.worktrees.create({ ...place, ...(base && { base }) }), name).toMatchObject({ state: 'found' });
    const change = await tree.change();
    expect(
      change.files.map((file) => file.path),
      name,
    ).toContain('result.txt');
    expect(
      change.files.filter((file) => file.status === 'deleted'),
      name,
    ).toEqual([]);
    expect(await lab.inMirror('show', `${tree.ref}:result.txt`), name).toBe(`${name} ${at} ${turn}`);
    expect(await tree.remove(), name).toEqual({ removed: true });
    ended.push({ ref: tree.ref, commit: change.commit });
  }
  return ended;
}

test(
  "hostile git beside a user at work: the project's .git is byte for byte what the user's own commands made it, and every task has its result",
  { timeout: 60_000 + TASKS * 3_000 },
  async () => {
    const lab = await openLab();
    const { path: project } = lab.repository;
    const git = (...args: string[]): Promise<string> => lab.repository.git(...args);
    vi.stubEnv('HOME', path.join(lab.root, 'user'));
    vi.stubEnv('XDG_CONFIG_HOME', path.join(lab.root, 'user/.config'));
    await mkdir(path.join(lab.root, 'user'));
    await git('config', 'pack.threads', '1');
    await git('clone', '--quiet', '--bare', project, path.join(lab.root, 'origin.git'));
    await git('remote', 'add', 'origin', path.join(lab.root, 'origin.git'));
    await git('fetch', '--quiet', 'origin');
    await git('branch', 'topic');
    await git('tag', 'v0');
    const twin = path.join(lab.root, 'twin');
    await cp(project, twin, { recursive: true, preserveTimestamps: true });
    const bystander = await lab.create('bystander');
    const bystanderBefore = await bytesOf(bystander.file('.git'));
    let next = 0;
    let rounds = 0;
    const lane = async (): Promise<Ended[]> => {
      const ended: Ended[] = [];
      while (next < TASKS) ended.push(...(await workThrough(lab, next++)));
      return ended;
    };
    const over = new AbortController();
    const user = (async () => {
      for (; !over.signal.aborted || rounds < 9; rounds += 1) {
        await workOnBoth([project, twin], rounds);
        expect(await repositoryBytes(project), `round ${rounds}`).toEqual(await repositoryBytes(twin));
      }
    })();
    user.catch(() => (next = TASKS));
    const started = performance.now();
    const ended = (await Promise.all(Array.from({ length: LANES }, lane)).finally(() => over.abort())).flat();
    await user;
    expect(await bytesOf(bystander.file('.git')), 'another session').toEqual(bystanderBefore);
    expect(await bystander.collect()).toMatchObject({ kind: 'none', notes: [] });
    for (const { ref, commit } of ended) expect(await lab.inMirror('rev-parse', ref)).toBe(commit);
    await lab.inMirror('fsck', '--full');
    await gitIn(project, 'fsck', '--full');
    if (process.env['LONGHAUL_HOSTILE_TASKS'] !== undefined)
      process.stdout.write(
        `${ended.length} turns of ${TASKS} tasks, ${rounds} rounds of the user, ${Math.round((performance.now() - started) / 1000)} s\n`,
      );
  },
);

test("the base of a task is in no branch of the user any more, and gc'ed: its result is whole", async () => {
  const lab = await openLab();
  const results: [string, string][] = [];
  for (let at = 0; at < 12; at += 1) {
    const tree = await lab.create(`task-${at}`);
    await tree.write({ 'result.txt': `${at}\n` });
    await lab.repository.write({ 'README.md': `edit ${at}\n` });
    await lab.repository.git('commit', '--quiet', '--all', '--amend', '--message', `Edit ${at}`);
    await lab.repository.git('reflog', 'expire', '--expire=now', '--all');
    await lab.repository.git('gc', '--quiet', '--prune=now');
    await expect(lab.repository.git('cat-file', '-e', tree.base)).rejects.toThrow();
    results.push([tree.ref, (await tree.change()).commit]);
    await tree.remove();
  }
  for (const [ref, commit] of results) expect(await lab.inMirror('rev-parse', ref)).toBe(commit);
  await lab.inMirror('fsck', '--full');
  const dotGit = path.join(lab.repository.path, '.git');
  expect((await readdir(dotGit, { recursive: true })).filter((name) => name.includes('longhaul'))).toEqual([]);
});
