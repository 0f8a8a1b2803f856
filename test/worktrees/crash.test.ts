/**
 * Each step is killed with SIGKILL at moments spread over its run, then run again: the world must be as if
 * it had run once. The moments are real time, so that any system call may be the last; their spread is
 * measured first.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile, readdir } from 'node:fs/promises';
import path from 'node:path';
import { expect, test, vi } from 'vitest';
import { gitIn, makeRepository, treeOf } from '../lab/repositories.ts';
import { type AgentTree, type Lab, type StepRequest, agentTree, isRunning, openLab } from './lab.ts';

const ROUNDS = 6;
const files = Object.fromEntries(
  Array.from({ length: 300 }, (_, at) => [`src/part-${at % 20}/file-${at}.txt`, `${at}\n`.repeat(50)]),
);

function startStep(request: StepRequest): ChildProcess {
  const args = ['--import', 'tsx', path.join(import.meta.dirname, 'step.ts'), JSON.stringify(request)];
  return spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
}

/** Kills the step this long after it began, and returns whether it was done by then. */
async function killedAfter(ms: number, request: StepRequest): Promise<boolean> {
  const child = startStep(request);
  let said = '';
  child.stdout?.on('data', (chunk: Buffer) => (said += chunk.toString()));
  await once(child.stdout ?? child, 'data');
  await new Promise((resolve) => setTimeout(resolve, ms));
  child.kill('SIGKILL');
  if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
  return said.includes('done');
}

async function durationOf(request: StepRequest): Promise<number> {
  const child = startStep(request);
  await once(child.stdout ?? child, 'data');
  const started = performance.now();
  await once(child, 'exit');
  return performance.now() - started;
}

function requestFor(lab: Lab, step: StepRequest['step'], base: string, name = 'task-1'): StepRequest {
  const root = path.join(lab.root, 'home', 'worktrees');
  const worktreePath = path.join(root, 'sessions', name);
  const ref = `refs/longhaul/tasks/${name}`;
  return { step, locksDir: lab.locksDir, root, projectPath: lab.repository.path, worktreePath, base, ref };
}

const moments = (longestMs: number): number[] => Array.from({ length: ROUNDS }, (_, at) => (longestMs * at) / ROUNDS);

async function work(tree: AgentTree): Promise<void> {
  await tree.write({
    'new.txt': 'new\n',
    'src/part-1/file-1.txt': 'changed\n',
    ...Object.fromEntries(
      Object.keys(files)
        .slice(0, 150)
        .map((name) => [name, `${name}\n`]),
    ),
  });
  await makeRepository(tree.file('nested'), { 'inner.txt': 'inner\n' });
}

/** After the last removal nothing of ours is anywhere, and no git is left. */
async function expectNothingLeft(lab: Lab, before: Record<string, string>): Promise<void> {
  expect(await lab.repository.fingerprint()).toEqual(before);
  expect(await readdir(path.join(lab.root, 'home', 'worktrees'))).toEqual([]);
  expect((await readdir(lab.locksDir)).filter((name) => !name.endsWith('.new') && !name.startsWith('.'))).toEqual([]);
}

test('create, killed at any moment and run again, creates one complete worktree', async () => {
  const lab = await openLab(files);
  const before = await lab.repository.fingerprint();
  const whole = await treeOf(lab.repository.path);
  const base = await lab.repository.git('rev-parse', 'HEAD');
  const request = requestFor(lab, 'create', base);
  const longest = await durationOf(request);
  await lab.worktrees.remove(request);
  for (const ms of moments(longest)) {
    await killedAfter(ms, request);
    const tree = agentTree(lab.worktrees, request.projectPath, await lab.worktrees.create(request));
    expect(await treeOf(tree.worktreePath), `killed after ${ms} ms`).toEqual(whole);
    expect(await gitIn(tree.worktreePath, 'status', '--porcelain', '--branch')).toBe('## HEAD (no branch)');
    expect((await lab.inMirror('worktree', 'list')).split('\n')).toHaveLength(2);
    await tree.remove();
    await expectNothingLeft(lab, before);
  }
});

test('collect, killed at any moment and run again, stores the same commit', async () => {
  const lab = await openLab(files);
  const before = await lab.repository.fingerprint();
  const tree = await lab.create();
  await work(tree);
  const expected = (await tree.change()).commit;
  const left = await treeOf(tree.worktreePath);
  const request = requestFor(lab, 'collect', tree.base);
  const longest = await durationOf(request);
  for (const ms of moments(longest)) {
    await lab.worktrees.deleteRef(request);
    await killedAfter(ms, request);
    expect((await tree.change()).commit, `killed after ${ms} ms`).toBe(expected);
    expect(await treeOf(tree.worktreePath)).toEqual(left);
    expect(await gitIn(tree.file('nested'), 'status', '--porcelain'), 'put back').toBe('');
  }
  await tree.remove();
  await expectNothingLeft(lab, before);
});

test('reset, killed at any moment and run again, restores the base', async () => {
  const lab = await openLab(files);
  const before = await lab.repository.fingerprint();
  const tree = await lab.create();
  const whole = await treeOf(tree.worktreePath);
  const request = requestFor(lab, 'reset', tree.base);
  await work(tree);
  const longest = await durationOf(request);
  for (const ms of moments(longest)) {
    await work(tree);
    await killedAfter(ms, request);
    await tree.reset();
    expect(await treeOf(tree.worktreePath), `killed after ${ms} ms`).toEqual(whole);
  }
  await tree.remove();
  await expectNothingLeft(lab, before);
});

test('remove, killed at any moment and run again, leaves no files', async () => {
  const lab = await openLab(files);
  const before = await lab.repository.fingerprint();
  const base = await lab.repository.git('rev-parse', 'HEAD');
  const request = requestFor(lab, 'remove', base);
  await work(await lab.create());
  const longest = await durationOf(request);
  for (const ms of moments(longest)) {
    await work(await lab.create());
    await killedAfter(ms, request);
    await lab.worktrees.remove(request);
    await expectNothingLeft(lab, before);
  }
});

test('a partly removed worktree is never taken for a complete one', async () => {
  const lab = await openLab(files);
  const base = await lab.repository.git('rev-parse', 'HEAD');
  const whole = await treeOf(lab.repository.path);
  const request = requestFor(lab, 'remove', base);
  await lab.create();
  const longest = await durationOf(request);
  for (const ms of moments(longest)) {
    await (await lab.create()).write({ 'new.txt': 'new\n' });
    await killedAfter(ms, request);
    const tree = await lab.create();
    const { 'new.txt': work, ...rest } = await treeOf(tree.worktreePath);
    expect(rest, `killed after ${ms} ms, then ${tree.state}`).toEqual(whole);
    expect(work !== undefined).toBe(tree.state === 'found');
  }
});

test('the git of a killed step is ended before the step runs again', async () => {
  const lab = await openLab({ ...files, '.gitattributes': '*.txt filter=slow\n' });
  const pidFile = path.join(lab.root, 'pid');
  await lab.repository.git('config', 'filter.slow.smudge', `sh -c 'echo $$ > ${pidFile}; exec sleep 600'`);
  const request = requestFor(lab, 'create', '');
  const child = startStep(request);

  const pid = await vi.waitFor(
    async () => Number((await readFile(pidFile, 'utf8')).trim()) || Promise.reject(new Error('not yet')),
    20_000,
  );
  child.kill('SIGKILL');
  await once(child, 'exit');
  expect(isRunning(pid), 'the orphan, before').toBe(true);
  await lab.repository.git('config', '--unset', 'filter.slow.smudge');
  await lab.worktrees.create(request);
  expect(isRunning(pid), 'the orphan, after').toBe(false);
  expect(await treeOf(request.worktreePath)).toEqual(await treeOf(lab.repository.path));
});
