import { spawn } from 'node:child_process';
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { lockHolder, takeLock } from '../../services/lock.ts';
import { identify, identifySelf } from '../../processes/identity.ts';
import { until } from '../lab/until.ts';

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
  expect(await lockHolder(folder)).toEqual(identifySelf());
  if (lock.kind === 'held') await lock.release();
  expect(await readdir(folder)).toEqual([]);
  for (const { child } of contenders) child.kill('SIGKILL');
  await Promise.all(contenders.map(({ closed }) => closed));
});

test('a holder from before a reboot, with a pid that lives again, holds nothing', async () => {
  const self = identify(process.ppid);
  await writeFile(join(folder, 'old'), JSON.stringify({ process: { ...self, bootId: 'another boot' }, holds: true }));
  expect(await lockHolder(folder)).toBeUndefined();
});

test('a lock whose file is gone alone is written again; one whose folder is gone, or that another has, is lost', async () => {
  const stop = new AbortController();
  const lock = await takeLock(folder);
  if (lock.kind !== 'held') throw new Error('it is expected to be free');
  const lost = lock.untilLost(stop.signal);
  const [name = ''] = await readdir(folder);
  await rm(join(folder, name));
  await until('the file to be there again', async () => (await readdir(folder)).includes(name));
  expect(await lockHolder(folder)).toEqual(identifySelf());

  const other = identify(process.ppid);
  await writeFile(join(folder, 'other'), JSON.stringify({ process: other, holds: true }));
  await rm(join(folder, name));
  expect(await lost).toEqual(other);

  await rm(folder, { recursive: true });
  expect(await lock.untilLost(stop.signal)).toBeUndefined();
  expect(stop.signal.aborted).toBe(false);
  await mkdir(folder);
});
