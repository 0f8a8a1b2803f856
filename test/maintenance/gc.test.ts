/** Garbage collection beside a running worker: only leftovers are removed. */
import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { mkdir, readdir, rm, stat, utimes, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type HandledLeftover, findLeftovers, removeLeftovers, withGcLock } from '../../maintenance/gc/gc.ts';
import { DAY_MS, type GcOptions } from '../../maintenance/gc/leftover.ts';
import { identifyRunning, isAlive, type ProcessIdentity } from '../../processes/identity.ts';
import { readSettings, type Settings } from '../../services/settings.ts';
import { type Worktrees, makeWorktrees } from '../../worktrees/worktrees.ts';
import { type Lab, startLab } from '../lab/lab.ts';
import { isWaiting } from '../lab/observer.ts';
import { until } from '../lab/until.ts';

let lab: Lab;
let settings: Settings;
let worktrees: Worktrees;
beforeAll(async () => {
  lab = await startLab();
  await lab.startWorker();
  const cache = path.join(lab.home, 'cache');
  settings = readSettings({ LONGHAUL_HOME: lab.home, LONGHAUL_CACHE: cache, LONGHAUL_HOST_NAME: 'lab' });
  worktrees = makeWorktrees({ locksDir: path.join(lab.home, 'locks'), root: path.join(lab.home, 'worktrees') });
});
afterAll(() => lab.close());

const find = (options: Partial<GcOptions> = {}) =>
  findLeftovers(settings, { sql: lab.sql, temporal: lab.client, host: 'lab' }, { removeKept: false, ...options });

async function gc(options: Partial<GcOptions> = {}): Promise<HandledLeftover[]> {
  const { leftovers, skipped } = await find(options);
  expect(skipped).toEqual([]);
  const done: HandledLeftover[] = [];
  for await (const item of removeLeftovers(leftovers)) done.push(item);
  return done;
}

const brief = (items: readonly HandledLeftover[]): string[] =>
  items.map(({ kind, outcome, name }) => `${outcome} ${kind} ${path.basename(name)}`).sort();

/** As a step makes it, with work in it. */
async function worktreeOf(owner: string): Promise<string> {
  const worktreePath = path.join(lab.home, 'worktrees', randomUUID());
  await worktrees.create({ projectPath: lab.repository.path, worktreePath, owner });
  await writeFile(path.join(worktreePath, 'work.txt'), 'work');
  return worktreePath;
}

/** A shell tool that outlived its agent. */
async function straggler(taskId: string, home: string): Promise<ProcessIdentity> {
  const child = spawn('sleep', ['600'], {
    detached: true,
    stdio: 'ignore',
    env: { PATH: process.env['PATH'], LONGHAUL_TASK: taskId, LONGHAUL_TASK_HOME: home },
  });
  child.unref();
  return until('the straggler', () => identifyRunning(child.pid ?? 0));
}

async function endedTask(state: string): Promise<string> {
  const [row] = await lab.sql<{ id: string }[]>`
    INSERT INTO tasks (project_id, input, state) VALUES (${lab.projectId}, 'an old task', ${state}) RETURNING id`;
  return row?.id ?? '';
}

const isThere = (file: string): Promise<boolean> =>
  stat(file).then(
    () => true,
    () => false,
  );

test('beside a running task two collectors remove leftovers at the same time; the task completes unaffected', async () => {
  const gate = lab.gate();
  const live = await lab.submit({ input: `write live.txt with live. run cat ${gate.path}` });
  await lab.untilFrame(live, 'the agent waits', isWaiting);
  const [failed, unknown] = [await endedTask('failed'), randomUUID()];
  const left = [await worktreeOf(failed), await worktreeOf(unknown)];
  const ours = [await straggler(failed, lab.home), await straggler(unknown, lab.home)];
  const foreign = await straggler(randomUUID(), '/home/of/another');

  const planned = (await find()).leftovers.map(({ kind, kept }) => `${kind} ${kept ?? 'goes'}`).sort();
  expect(planned).toEqual(['process goes', 'process goes', 'worktree goes', 'worktree goes']);
  expect(ours.map(isAlive)).toEqual([true, true]);

  const done = (await Promise.all([gc(), gc()])).flat();
  expect(done.filter(({ outcome }) => outcome === 'failed')).toEqual([]);
  expect(await Promise.all(left.map(isThere))).toEqual([false, false]);
  expect(ours.map(isAlive)).toEqual([false, false]);
  expect(isAlive(foreign)).toBe(true);
  process.kill(foreign.pid, 'SIGKILL');
  // What was in no commit is in one now.
  for (const id of [failed, unknown]) {
    expect(await lab.results('show', `refs/longhaul/left/${id}:work.txt`)).toBe('work');
  }
  const listed = await lab.results('worktree', 'list', '--porcelain');
  for (const folder of left) expect(listed).not.toContain(folder);

  await gate.open();
  expect(await lab.ended(live)).toMatchObject({ state: 'completed' });
  expect(await lab.inChange(live, 'live.txt')).toBe('live');
  expect(await lab.leftovers(live)).toEqual([]);
});

test('a final row whose run still has closing steps keeps its worktree', async () => {
  const gate = lab.gate();
  const task = await lab.submit({ input: `write w.txt with w. run cat ${gate.path}` });
  await lab.untilFrame(task, 'the agent waits', isWaiting);
  // By its rows the task has ended; only Temporal knows that it continues.
  await lab.sql`UPDATE attempts SET ended_at = now() WHERE task_id = ${task}`;
  await lab.sql`UPDATE tasks SET state = 'failed' WHERE id = ${task}`;
  expect(brief(await gc()).filter((line) => !line.includes(' ref '))).toEqual([]);
  await gate.open();
  await lab.ended(task);
  expect(await lab.changes(task)).toHaveLength(1);
});

test('a worktree that was kept for its work stays until gc --kept', async () => {
  const id = await endedTask('completed');
  const folder = await worktreeOf(id);
  const summary = `Done. The worktree was kept at ${folder}: a submodule has work that nobody else can get`;
  await lab.sql`UPDATE tasks SET kept_worktree = ${folder}, output_summary = ${summary} WHERE id = ${id}`;
  const [kept] = (await gc()).filter(({ kind }) => kind === 'worktree');
  expect(kept).toMatchObject({ outcome: 'kept', detail: expect.stringContaining('a submodule has work') as string });
  expect(await isThere(folder)).toBe(true);
  expect(brief(await gc({ removeKept: true }))).toContain(`removed worktree ${path.basename(folder)}`);
  expect(await isThere(folder)).toBe(false);
});

test('an unknown folder among the worktrees is named and not removed', async () => {
  const folder = path.join(lab.home, 'worktrees', 'mine');
  await mkdir(folder, { recursive: true });
  await writeFile(path.join(folder, 'notes.txt'), 'mine');
  expect(brief(await gc({ removeKept: true }))).toContain('kept worktree mine');
  expect(await readdir(folder)).toEqual(['notes.txt']);
  await rm(folder, { recursive: true });
});

test('incomplete entries are removed when they are old, lost ones at once, those of another home never', async () => {
  const admin = path.join(lab.repository.path, '.git', 'worktrees');
  const git = path.join(lab.repository.path, '.git');
  const entry = async (name: string, worktreePath: string | undefined): Promise<string> => {
    const folder = path.join(admin, name);
    await mkdir(folder, { recursive: true });
    await writeFile(path.join(folder, 'locked'), 'Longhaul: an agent works here\n');
    if (worktreePath) await writeFile(path.join(folder, 'gitdir'), `${worktreePath}/.git\n`);
    return folder;
  };
  const lost = await entry('lost', path.join(lab.home, 'worktrees', 'lost'));
  const other = await entry('other', '/home/of/another/worktrees/x');
  const fresh = await entry('fresh', undefined);
  const old = await entry('old', undefined);
  const staged = path.join(git, 'longhaul-entry-1');
  const moving = path.join(git, 'longhaul-entry-2');
  for (const folder of [staged, moving]) await mkdir(folder);
  const longAgo = new Date(Date.now() - DAY_MS);
  for (const folder of [old, staged]) await utimes(folder, longAgo, longAgo);

  const entries = (await gc()).filter(({ kind }) => kind === 'entry');
  expect(brief(entries)).toEqual(['removed entry longhaul-entry-1', 'removed entry lost', 'removed entry old']);
  expect(await Promise.all([lost, old, staged, other, fresh, moving].map(isThere))).toEqual([
    false,
    false,
    false,
    true,
    true,
    true,
  ]);
  for (const folder of [other, fresh, moving]) await rm(folder, { recursive: true });
});

test('results of tasks without a row stay, and are removed by age on request', async () => {
  const [known, unknown] = [await endedTask('completed'), randomUUID()];
  for (const id of [known, unknown]) await lab.repository.git('update-ref', `refs/longhaul/tasks/${id}`, 'HEAD');
  const refOf = (id: string): string => path.join(lab.repository.path, '.git', 'refs', 'longhaul', 'tasks', id);
  const refs = async (options: Partial<GcOptions>) =>
    (await gc(options))
      .filter(({ kind, name }) => kind === 'ref' && name.includes(unknown))
      .map(({ outcome }) => outcome);
  expect(await refs({})).toEqual(['kept']);
  expect(await refs({ refsOlderThanDays: 30 })).toEqual(['kept']);
  const longAgo = new Date(Date.now() - 40 * DAY_MS);
  for (const id of [known, unknown]) await utimes(refOf(id), longAgo, longAgo);
  expect(await refs({})).toEqual(['kept']);
  expect(await refs({ refsOlderThanDays: 30 })).toEqual(['removed']);
  expect(await Promise.all([known, unknown].map((id) => isThere(refOf(id))))).toEqual([true, false]);
});

test('incomplete and long unused files are removed, without any service', async () => {
  const make = async (ageMs: number, ...names: string[]): Promise<string> => {
    const file = path.join(lab.home, ...names);
    await mkdir(path.dirname(file), { recursive: true });
    await writeFile(file, '');
    const then = new Date(Date.now() - ageMs);
    await utimes(file, then, then);
    return file;
  };
  const old = [
    await make(2 * DAY_MS, 'run', '.state.json.0123abcd'),
    await make(2 * DAY_MS, 'postgres', 'data.new-0123abcd.password'),
    await make(40 * DAY_MS, 'logs', 'worker.log.1'),
    await make(40 * DAY_MS, 'cache', 'workflow-bundles', 'aaaa.js'),
    await make(2 * DAY_MS, 'cache', 'workflow-bundles', 'bbbb.js.123'),
    await make(2 * DAY_MS, 'cache', 'temporal', 'v1', '.work-1'),
  ];
  const used = [
    await make(0, 'run', '.state.json.4567abcd'),
    await make(40 * DAY_MS, 'run', 'state.json'),
    await make(40 * DAY_MS, 'logs', 'worker.log'),
    await make(2 * DAY_MS, 'logs', 'backend.log.1'),
    await make(2 * DAY_MS, 'cache', 'workflow-bundles', 'cccc.js'),
    await make(40 * DAY_MS, 'cache', 'temporal', 'v1', 'temporal'),
  ];
  const dead = { token: 't', subject: '/a', pid: 1, startTime: '0', bootId: 'another', pidNamespace: '', text: '' };
  const lock = await make(0, 'locks', `${'0'.repeat(32)}.lock`);
  await writeFile(lock, JSON.stringify(dead));
  const slot = await make(0, 'slots', `${randomUUID()}.1.1.0.another.0123abcd`);

  const { leftovers, skipped } = await findLeftovers(settings, undefined, { removeKept: false });
  expect(skipped).toHaveLength(1);
  for await (const { outcome } of removeLeftovers(leftovers)) expect(outcome).toBe('removed');
  expect(await Promise.all([...old, lock, slot].map(isThere))).toEqual([...old, lock, slot].map(() => false));
  expect(await Promise.all(used.map(isThere))).toEqual(used.map(() => true));
});

test('recordings of terminals: of an unknown task, by age and by size together, never of a task at work', async () => {
  const gate = lab.gate();
  const live = await lab.submit({ input: `run cat ${gate.path}` });
  await lab.untilFrame(live, 'the agent waits', isWaiting);
  const recording = async (taskId: string, ageMs: number, bytes = 1): Promise<string> => {
    const folder = path.join(lab.home, 'recordings', taskId);
    const file = path.join(folder, '1-1.cast.gz');
    await mkdir(folder, { recursive: true });
    await writeFile(file, Buffer.alloc(bytes));
    const then = new Date(Date.now() - ageMs);
    for (const one of [file, folder]) await utimes(one, then, then);
    return folder;
  };
  const MB = 1024 * 1024;
  const ended = await Promise.all(['failed', 'failed', 'failed'].map(endedTask));
  const left = [
    await recording(randomUUID(), 0),
    await recording(ended[0] ?? '', 8 * DAY_MS),
    await recording(ended[1] ?? '', 2 * DAY_MS, MB),
  ];
  const stays = [await recording(live, 9 * DAY_MS), await recording(ended[2] ?? '', DAY_MS, MB)];
  settings = { ...settings, recordings: { days: 7, bytes: MB + 1 } };
  const gone = (await gc()).filter(({ name }) => name.includes('/recordings/'));
  const removed = gone.map(({ outcome, name }) => `${outcome} ${path.basename(name)}`);
  expect(new Set(removed)).toEqual(new Set(left.map((folder) => `removed ${path.basename(folder)}`)));
  expect(await Promise.all([...left, ...stays].map(isThere))).toEqual([false, false, false, true, true]);
  await gate.open();
  await lab.ended(live);
});

test('one collector at a time', async () => {
  await withGcLock(lab.home, async () => {
    // From another process' point of view: the lock is a process', so this one asks as a second contender.
    await expect(withGcLock(lab.home, () => sleep(0))).rejects.toMatchObject({
      message: expect.stringContaining(`Process ${process.pid} is collecting`) as string,
    });
  });
  expect(await withGcLock(lab.home, async () => 'free again')).toBe('free again');
});
