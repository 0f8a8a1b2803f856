import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile, readdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, onTestFinished, test, vi } from 'vitest';
import { lockFileName, withLock } from '../../worktrees/repository-lock.ts';
import { ownIdentity } from '../../worktrees/git-owner.ts';
import { makeFolder, removeFolder } from '../lab/repositories.ts';
import { isRunning } from './lab.ts';

async function openFolder(): Promise<{ locksDir: string; subject: string; counter: string }> {
  const root = await makeFolder();
  onTestFinished(() => removeFolder(root));
  const counter = path.join(root, 'counter');
  await writeFile(counter, '0');
  return { locksDir: path.join(root, 'locks'), subject: '/some/repository/.git', counter };
}

function startHolder(...args: string[]): ChildProcess {
  const file = path.join(import.meta.dirname, 'holder.ts');
  const child = spawn(process.execPath, ['--import', 'tsx', file, ...args], { stdio: ['ignore', 'pipe', 'inherit'] });
  onTestFinished(() => {
    child.kill('SIGKILL');
  });
  return child;
}

async function killedHolder(at: { locksDir: string; subject: string; counter: string }): Promise<{ gitPid: number }> {
  const holder = startHolder(at.locksDir, at.subject, at.counter, '0');
  const gitPid = await vi.waitFor(async () => {
    const pid = Number(await readFile(`${at.counter}.git`, 'utf8'));
    if (!(pid > 0)) throw new Error('not yet');
    return pid;
  }, 20_000);
  holder.kill('SIGKILL');
  await once(holder, 'exit');
  return { gitPid };
}

test('in one process the lock is given in the order of requests, one at a time', async () => {
  const at = await openFolder();
  const order: string[] = [];
  const jobs = ['a', 'b', 'c'].map((name) =>
    withLock(at, async () => {
      order.push(`${name} in`);
      await sleep(2); // a second holder would enter meanwhile
      order.push(`${name} out`);
    }),
  );
  await Promise.all(jobs);
  expect(order).toEqual(['a in', 'a out', 'b in', 'b out', 'c in', 'c out']);
  expect(await readdir(at.locksDir)).toEqual([]);
});

test('a failure under the lock releases it', async () => {
  const at = await openFolder();
  await expect(withLock(at, () => Promise.reject(new Error('oops')))).rejects.toThrow('oops');
  expect(await withLock(at, () => Promise.resolve('next'))).toBe('next');
});

test('a caller that waits too long, or is aborted, leaves the queue', async () => {
  const at = await openFolder();
  let free = (): void => undefined;
  let held: Promise<void> | undefined;
  await new Promise<void>((holds) => {
    held = withLock(
      at,
      () =>
        new Promise<void>((resolve) => {
          free = resolve;
          holds();
        }),
    );
  });
  const abort = new AbortController();
  const impatient = withLock({ ...at, deadlineMs: 30 }, () => Promise.resolve());
  const aborted = withLock({ ...at, signal: abort.signal }, () => Promise.resolve());
  const patient = withLock(at, () => Promise.resolve('mine'));
  abort.abort(new Error('stopped'));
  await expect(aborted).rejects.toThrow('stopped');
  await expect(impatient).rejects.toMatchObject({ code: 'repository_locked' });
  free();
  await held;
  expect(await patient).toBe('mine');
});

test('a live holder in another process is waited for, and named at the timeout', async () => {
  const at = await openFolder();
  const holder = startHolder(at.locksDir, at.subject, at.counter, '0');
  await once(holder.stdout ?? holder, 'data');
  await expect(withLock({ ...at, deadlineMs: 100 }, () => Promise.resolve())).rejects.toMatchObject({
    code: 'repository_locked',
    message: expect.stringContaining(`process ${holder.pid}`),
  });
  holder.kill('SIGKILL');
  expect(await withLock(at, () => Promise.resolve('taken over'))).toBe('taken over');
});

test('many processes that find a dead holder never hold the lock at the same time', async () => {
  const at = await openFolder();
  const { gitPid } = await killedHolder(at);
  const processes = Array.from({ length: 4 }, () => startHolder(at.locksDir, at.subject, at.counter, '15'));
  const here = Array.from({ length: 15 }, () =>
    withLock(at, async () => {
      const count = Number(await readFile(at.counter, 'utf8'));
      await sleep(1); // two holders at once would lose a count
      await writeFile(at.counter, String(count + 1));
    }),
  );
  const codes = await Promise.all(processes.map(async (child) => (await once(child, 'exit'))[0] as number));
  await Promise.all(here);
  expect(codes).toEqual([0, 0, 0, 0]);
  expect(await readFile(at.counter, 'utf8')).toBe('75');
  expect(await readdir(at.locksDir)).toEqual([]);
  expect(isRunning(gitPid), 'the git of the dead holder').toBe(false);
});

test('a slow process that takes over does not remove the lock of a faster one', async () => {
  const at = await openFolder();
  const file = path.join(at.locksDir, `${lockFileName(at.subject)}.lock`);
  await withLock({ ...at, subject: 'make the folder' }, () => Promise.resolve());
  const dead = { subject: at.subject, ...ownIdentity(), startTime: '1', text: 'nobody' };
  // Modules of their own have queues of their own: each taker sees the dead holder by itself.
  const takers: (typeof withLock)[] = [];
  for (let count = 0; count < 4; count += 1) {
    vi.resetModules();
    takers.push((await import('../../worktrees/repository-lock.ts')).withLock);
  }
  let inside = 0;
  let most = 0;
  for (let round = 0; round < 100; round += 1) {
    await writeFile(file, JSON.stringify({ ...dead, token: `dead-${round}` }));
    const work = async (): Promise<void> => {
      inside += 1;
      most = Math.max(most, inside);
      await sleep(round % 3); // a second holder would enter meanwhile
      inside -= 1;
    };
    await Promise.all(takers.map((take) => take(at, work)));
  }
  expect(most).toBe(1);
});

test('a lock file that is empty after a power cut, or from before a restart, is taken over', async () => {
  const at = await openFolder();
  const file = path.join(at.locksDir, `${lockFileName(at.subject)}.lock`);
  await withLock(at, () => Promise.resolve());
  const left = { token: 't', subject: at.subject, ...ownIdentity(), bootId: 'an earlier boot' };
  for (const content of ['', '{"pid":', JSON.stringify(left)]) {
    await writeFile(file, content);
    expect(await withLock({ ...at, deadlineMs: 2_000 }, () => Promise.resolve('mine'))).toBe('mine');
  }
});
