import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync } from 'node:fs';
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { rotateLogs, rotateUnusedLog } from '../../../services/supervisor/rotate-logs.ts';

/** As the parts of a home write: appending to a file that was opened for them, by more than one process, without an end. */
const WRITER = `
const { writeSync } = require('node:fs');
for (let i = 0; ; i++) writeSync(1, process.argv[1] + ' ' + i + '\\n');`;

let dir: string;
let log: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'longhaul-logs-'));
  log = join(dir, 'part.log');
});
afterEach(() => rm(dir, { recursive: true, force: true }));

const canCollapse = (): boolean => {
  const probe = join(dir, 'probe');
  execFileSync('sh', ['-c', 'head -c 65536 /dev/zero > "$1"', 'sh', probe]);
  try {
    execFileSync('fallocate', ['--collapse-range', '--offset', '0', '--length', '32768', probe], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
};

test('two processes write while their log is rotated: no line is lost or doubled', async () => {
  const fd = openSync(log, 'a');
  const writers = ['a', 'b'].map((name) =>
    spawn(process.execPath, ['-e', WRITER, name], { stdio: ['ignore', fd, 'inherit'] }),
  );
  closeSync(fd);
  const ended = Promise.all(writers.map((writer) => once(writer, 'exit')));
  const logs = async () => (await readdir(dir)).filter((name) => name.startsWith('part.log'));
  // Rotations beside writers are what the test is about, so their number ends it, not an amount of lines.
  while ((await logs()).length < 5) await rotateLogs(dir, { limitBytes: 100_000, keptFiles: 1_000 });
  for (const writer of writers) writer.kill('SIGKILL');
  await ended;
  const numbered = (await logs()).map((name) => Number(name.split('.')[2] ?? 0)).sort((x, y) => y - x);
  const texts = await Promise.all(numbered.map((n) => readFile(n === 0 ? log : `${log}.${n}`, 'utf8')));
  const lines = texts.join('').trimEnd().split('\n');
  // On a file system without collapse, lines may be lost, as the module says. They are never doubled.
  if (!canCollapse()) return expect(new Set(lines).size).toBe(lines.length);
  for (const name of ['a', 'b']) {
    const own = lines.filter((line) => line.startsWith(`${name} `));
    expect(own.findIndex((line, i) => line !== `${name} ${i}`)).toBe(-1);
  }
  return expect(lines.every((line) => /^[ab] \d+$/.test(line))).toBe(true);
});

test('a log has at most three older files, each within the size limit, readable by its owner only', async () => {
  const limits = { limitBytes: 10_000 };
  for (let round = 1; round <= 6; round++) {
    await writeFile(log, `${round}\n`.repeat(10_000), { flag: 'a', mode: 0o600 });
    await rotateLogs(dir, limits);
    expect((await stat(log)).size).toBeLessThanOrEqual(10_000);
  }
  expect((await readdir(dir)).sort()).toEqual(['part.log', 'part.log.1', 'part.log.2', 'part.log.3']);
  for (const name of await readdir(dir)) expect((await stat(join(dir, name))).mode & 0o077).toBe(0);
  expect(await readFile(`${log}.1`, 'utf8')).toContain('6');
  await rotateLogs(dir, limits);
  expect((await readdir(dir)).length).toBe(4);
});

test('a log that is too long when its process starts is moved as a whole; a short one stays', async () => {
  await writeFile(log, 'short');
  rotateUnusedLog(log);
  expect(await readdir(dir)).toEqual(['part.log']);
  for (const text of ['1', '2', '3', '4']) {
    await writeFile(log, text.repeat(17 * 1024 * 1024));
    rotateUnusedLog(log);
  }
  expect((await readdir(dir)).sort()).toEqual(['part.log.1', 'part.log.2', 'part.log.3']);
  expect((await readFile(`${log}.1`, 'utf8'))[0]).toBe('4');
});
