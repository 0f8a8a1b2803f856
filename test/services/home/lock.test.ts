import { spawn } from 'node:child_process';
import { cp, mkdtemp, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { lockHolder, lockHolderWithRole, takeLock } from '../../../services/home/lock.ts';
import { identify, identifySelf } from '../../../processes/identity.ts';
import { DAMAGES } from '../../lab/damage.ts';
import { until } from '../../lab/until.ts';

const TSX = pathToFileURL(createRequire(import.meta.url).resolve('tsx')).href;
const HOLD = fileURLToPath(new URL('../fixtures/hold-lock.ts', import.meta.url));

let folder: string;
let noLonger: AbortController;
beforeEach(async () => {
  noLonger = new AbortController();
  folder = await mkdtemp(join(tmpdir(), 'longhaul-lock-'));
});
afterEach(async () => {
  noLonger.abort();
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
  expect(await lockHolder(folder)).toEqual(identifySelf());
  if (lock.kind === 'held') await lock.release();
  expect(await readdir(folder)).toEqual([]);
  for (const { child } of contenders) child.kill('SIGKILL');
  await Promise.all(contenders.map(({ closed }) => closed));
});

test('a holder from before a reboot, whose pid is in use again, holds nothing', async () => {
  const self = identify(process.ppid);
  await writeFile(join(folder, 'old'), JSON.stringify({ process: { ...self, bootId: 'another boot' }, holds: true }));
  expect(await lockHolder(folder)).toBeUndefined();
});

async function held(where: string) {
  const lock = await takeLock(where);
  if (lock.kind !== 'held') throw new Error('it is expected to be free');
  return lock;
}

test.each(Object.entries(DAMAGES))(
  'a lock whose file is %s is held all the same, and is written again',
  async (_, damage) => {
    const lock = await held(folder);
    void lock.untilLost(noLonger.signal);
    const [name = ''] = await readdir(folder);
    const file = join(folder, name);
    const whole = await readFile(file, 'utf8');
    await damage(file);
    await until('the file to be whole again', async () => (await readFile(file, 'utf8').catch(() => '')) === whole);
    expect(await lockHolder(folder)).toEqual(identifySelf());
  },
);

test('a lock whose file is empty is held by the process that its name identifies', async () => {
  const lock = await held(folder);
  const [name = ''] = await readdir(folder);
  await writeFile(join(folder, name), '{"hello":1}');
  expect(await lockHolderWithRole(folder)).toEqual({ process: identifySelf(), role: 'other' });
  await lock.release();
});

test('a copy of a lock is held by no process, and the lock still is', async () => {
  const original = join(folder, 'original');
  const copy = join(folder, 'copy');
  const lock = await held(original);
  await cp(original, copy, { recursive: true });
  expect(await lockHolder(copy)).toBeUndefined();
  expect((await takeLock(copy)).kind).toBe('held');
  await rename(original, join(folder, 'renamed'));
  expect(await lockHolder(join(folder, 'renamed'))).toEqual(identifySelf());
  await lock.release();
});

test("a lock's folder that is removed alone is created again; with its parent folder the lock is lost", async () => {
  const home = join(folder, 'run');
  const lock = await held(join(home, 'lock'));
  const lost = lock.untilLost(noLonger.signal);
  await rm(join(home, 'lock'), { recursive: true });
  await until('the lock to be there again', async () => (await lockHolder(join(home, 'lock'))) !== undefined);
  expect(await lockHolder(join(home, 'lock'))).toEqual(identifySelf());
  await rm(home, { recursive: true });
  expect(await lost).toBeUndefined();
});

test('a lock that another process holds meanwhile is lost', async () => {
  const lock = await held(folder);
  const other = identify(process.ppid);
  await writeFile(join(folder, 'other'), JSON.stringify({ process: other, holds: true }));
  expect(await lock.untilLost(noLonger.signal)).toEqual(other);
});
