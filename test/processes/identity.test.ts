import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { afterEach, expect, test } from 'vitest';
import { identify, identifyRunning, identifySelf, isAlive, parseStat, statFromPs } from '../../processes/identity.ts';
import { until } from '../lab/until.ts';

const started: number[] = [];

afterEach(() => {
  for (const pid of started.splice(0)) {
    try {
      process.kill(-pid, 'SIGKILL');
    } catch {
      // ended by the test
    }
  }
});

async function sleeper(program = 'sleep', args = ['600']) {
  const child = spawn(program, args, { detached: true, stdio: 'ignore' });
  await once(child, 'spawn');
  const identity = identify(child.pid ?? 0);
  if (identity === undefined) throw new Error('it ended at once');
  started.push(identity.pid);
  return { child, identity };
}

/** A process that keeps a zombie: the shell becomes sleep, which never asks how its child ended. */
async function zombieKeeper() {
  const { identity } = await sleeper('sh', ['-c', 'true & exec sleep 600']);
  const zombie = await until('the zombie', () => {
    const children = readFileSync(`/proc/${identity.pid}/task/${identity.pid}/children`, 'utf8');
    const pid = /\d+/.test(children) ? Number.parseInt(children, 10) : undefined;
    return pid !== undefined && / \(true\) Z|\(sh\) Z/.test(readFileSync(`/proc/${pid}/stat`, 'utf8')) && pid;
  });
  return { identity, zombie };
}

test('the start time is found behind a command name with spaces and parentheses', () => {
  const fields = Array.from({ length: 50 }, (_, index) => `f${index + 3}`);
  expect(parseStat(`12 (a) b (c) R) ${fields.join(' ')}`)).toEqual({ state: 'f3', startTime: 'f22' });
});

test('an identity is alive only for its own process', async () => {
  const { child, identity } = await sleeper();
  expect(isAlive(identity)).toBe(true);
  expect(isAlive({ ...identity, startTime: `${Number(identity.startTime) + 1}` })).toBe(false);
  expect(isAlive({ ...identity, bootId: 'another boot' })).toBe(false);
  const exited = once(child, 'exit');
  process.kill(identity.pid, 'SIGKILL');
  await exited;
  expect(isAlive(identity)).toBe(false);
  expect(identify(identity.pid)).toBeUndefined();
});

test('a zombie has an identity but is not alive', async () => {
  const { zombie } = await zombieKeeper();
  const found = identify(zombie);
  expect(found).toBeDefined();
  expect(found !== undefined && isAlive(found)).toBe(false);
});

test('an identity ends with its process, also while the process is a zombie', async () => {
  // The shell's child ends at once and is never waited for.
  const script =
    'import os, sys, time\npid = os.fork()\nif pid == 0: os._exit(0)\nprint(pid, flush=True)\ntime.sleep(60)';
  const parent = spawn('python3', ['-c', script], { stdio: ['ignore', 'pipe', 'ignore'] });
  const zombie = Number(
    await new Promise<string>((resolve) => parent.stdout.once('data', (data) => resolve(String(data)))),
  );
  const living = identifyRunning(parent.pid ?? 0);
  expect(living && isAlive(living)).toBe(true);
  await expect.poll(() => identifyRunning(zombie)).toBeUndefined();
  parent.kill('SIGKILL');
  await new Promise((resolve) => parent.once('close', resolve));
  expect(living && isAlive(living)).toBe(false);
});

test('a name with spaces and parentheses does not affect the start time', async () => {
  const script = "process.title = 'a) S 1 (b'; console.log('ready'); setInterval(() => {}, 1000)";
  const child = spawn(process.execPath, ['-e', script], { stdio: ['ignore', 'pipe', 'ignore'] });
  await new Promise((resolve) => child.stdout.once('data', resolve));
  const self = identifySelf();
  const odd = identify(child.pid ?? 0);
  expect(Number(odd?.startTime)).toBeGreaterThanOrEqual(Number(self.startTime));
  child.kill('SIGKILL');
  await new Promise((resolve) => child.once('close', resolve));
});

test('without /proc, ps gives the start time and detects zombies and absent processes', async () => {
  const { identity, zombie } = await zombieKeeper();
  const { child, identity: ended } = await sleeper();
  const exited = once(child, 'exit');
  child.kill('SIGKILL');
  await exited;
  const living = statFromPs(identity.pid);
  expect(living).toMatchObject({
    state: expect.stringMatching(/^[RSD]/),
    startTime: expect.stringMatching(/^\w{3} .* \d{4}$/),
  });
  expect(statFromPs(identity.pid)?.startTime).toBe(living?.startTime);
  expect(statFromPs(zombie)?.state).toMatch(/^Z/);
  expect(statFromPs(ended.pid)).toBeUndefined();
});

test('this process is found by its own pid', () => {
  expect(identifySelf()).toEqual(identifyRunning(process.pid));
  expect(isAlive(identifySelf())).toBe(true);
});
