import { type ChildProcess, spawn } from 'node:child_process';
import { cp, mkdtemp, realpath, rename, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { identify } from '../../processes/identity.ts';
import { findHomeProgram } from '../../processes/find-program.ts';
import { STRANGER } from '../lab/damage.ts';

let root: string;
let home: string;
let started: ChildProcess[];
beforeEach(async () => {
  root = await realpath(await mkdtemp(path.join(tmpdir(), 'longhaul-find-')));
  home = await mkdtemp(path.join(root, 'home-'));
  started = [];
});
afterEach(async () => {
  for (const child of started) child.kill('SIGKILL');
  await rm(root, { recursive: true, force: true });
});

/** A process whose command line is `sh -c … entry --home HOME`. */
async function run({ cwd = home, entry = '/x/worker.js', named = home, uid = process.getuid?.() } = {}) {
  const args = ['-c', 'echo ready; read line', entry, '--home', named];
  const child = spawn('sh', args, { cwd, stdio: ['pipe', 'pipe', 'ignore'], ...(uid !== undefined && { uid }) });
  started.push(child);
  await new Promise((resolve) => child.stdout.once('data', resolve));
  return identify(child.pid ?? 0);
}

const find = (folder = home): ReturnType<typeof findHomeProgram> =>
  findHomeProgram({ args: ['--home'], precedingArgumentEnd: /\/worker\.[jt]s$/, named: folder, folder });

test('a program is found by its folder, by any of its paths, and after the folder was renamed', async () => {
  const worker = await run();
  expect(await find()).toEqual(worker);
  const link = path.join(root, 'link');
  await symlink(home, link);
  expect(await find(link)).toEqual(worker);
  const moved = path.join(root, 'moved');
  await rename(home, moved);
  expect(await find(moved)).toEqual(worker);
});

test('a program of a folder that was removed is found by the path that it names', async () => {
  const worker = await run();
  await rm(home, { recursive: true });
  expect(await find()).toEqual(worker);
});

test('a copy of a folder has none of its programs, also if a record names one', async () => {
  const worker = await run();
  const copy = path.join(root, 'copy');
  await cp(home, copy, { recursive: true });
  const program = { args: ['--home'], named: copy, folder: copy };
  expect(await findHomeProgram(program, worker)).toBeUndefined();
});

test('a process that names the folder but works elsewhere, or is another program, is not found', async () => {
  await run({ cwd: root });
  await run({ entry: '/x/other.js' });
  expect(await find()).toBeUndefined();
});

test.runIf(process.getuid?.() === 0)('a process of another user is not the one', async () => {
  await run({ cwd: '/', uid: STRANGER });
  expect(await find()).toBeUndefined();
  const worker = await run();
  expect(await find()).toEqual(worker);
});
