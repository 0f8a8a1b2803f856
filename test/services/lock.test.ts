import { spawn } from 'node:child_process';
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { lockHolder, takeLock } from '../../services/lock.ts';
import { identify, isAlive } from '../../services/process-identity.ts';

const TSX = pathToFileURL(createRequire(import.meta.url).resolve('tsx')).href;
const HOLD = fileURLToPath(new URL('fixtures/hold-lock.ts', import.meta.url));

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'longhaul-lock-'));
});
afterEach(async () => {
  await rm(folder, { recursive: true });
});

function contender() {
  const child = spawn(process.execPath, ['--import', TSX, HOLD, folder], { stdio: ['pipe', 'pipe', 'inherit'] });
  child.stdout.setEncoding('utf8');
  const closed = new Promise<void>((resolve) => child.once('close', () => resolve()));
  const line = () =>
    new Promise<string>((resolve) => child.stdout.once('data', (text: string) => resolve(text.trim())));
  return { child, closed, line };
}

test('of six processes at once exactly one holds the lock, and the next follows when it is killed', async () => {
  const contenders = Array.from({ length: 6 }, contender);
  await Promise.all(contenders.map(({ line }) => line())); // all are loaded
  const answers = contenders.map(({ line }) => line());
  for (const { child } of contenders) child.stdin.write('go\n');
  const said = await Promise.all(answers);
  const winner = contenders[said.indexOf('held')];
  expect(said.filter((text) => text === 'held')).toHaveLength(1);
  expect(said.filter((text) => text === `busy ${winner?.child.pid}`)).toHaveLength(5);
  expect(await takeLock(folder)).toMatchObject({ kind: 'busy', holder: { pid: winner?.child.pid } });

  winner?.child.kill('SIGKILL');
  await winner?.closed;
  const lock = await takeLock(folder);
  expect(lock.kind).toBe('held');
  expect(await lockHolder(folder)).toEqual(await identify(process.pid));
  if (lock.kind === 'held') await lock.release();
  expect(await readdir(folder)).toEqual([]);
  for (const { child } of contenders) child.kill('SIGKILL');
  await Promise.all(contenders.map(({ closed }) => closed));
});

test('a holder from before a reboot, with a pid that lives again, holds nothing', async () => {
  const self = await identify(process.ppid);
  await writeFile(join(folder, 'old'), JSON.stringify({ process: { ...self, bootId: 'another boot' }, holds: true }));
  expect(await lockHolder(folder)).toBeUndefined();
});

test('an identity ends with its process, also while that is a zombie', async () => {
  // The shell's child ends at once and is never waited for.
  const script =
    'import os, sys, time\npid = os.fork()\nif pid == 0: os._exit(0)\nprint(pid, flush=True)\ntime.sleep(60)';
  const parent = spawn('python3', ['-c', script], { stdio: ['ignore', 'pipe', 'ignore'] });
  const zombie = Number(
    await new Promise<string>((resolve) => parent.stdout.once('data', (data) => resolve(String(data)))),
  );
  const living = await identify(parent.pid ?? 0);
  expect(living && (await isAlive(living))).toBe(true);
  await expect.poll(() => identify(zombie)).toBeUndefined();
  parent.kill('SIGKILL');
  await new Promise((resolve) => parent.once('close', resolve));
  expect(living && (await isAlive(living))).toBe(false);
});

test('a name with blanks and parentheses does not confuse the start time', async () => {
  const script = "process.title = 'a) S 1 (b'; console.log('ready'); setInterval(() => {}, 1000)";
  const child = spawn(process.execPath, ['-e', script], { stdio: ['ignore', 'pipe', 'ignore'] });
  await new Promise((resolve) => child.stdout.once('data', resolve));
  const self = await identify(process.pid);
  const odd = await identify(child.pid ?? 0);
  expect(Number(odd?.startTime)).toBeGreaterThanOrEqual(Number(self?.startTime));
  child.kill('SIGKILL');
  await new Promise((resolve) => child.once('close', resolve));
});
