import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync } from 'node:fs';
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { rotateLogs, rotateUnusedLog } from '../../../services/supervisor/rotate-logs.ts';

const LINES = 200_000;
/** As the parts of a home write: appending to a file that was opened for them, by more than one process. */
const WRITER = `
const { writeSync } = require('node:fs');
for (let i = 0; i < ${LINES}; i++) writeSync(1, process.argv[1] + ' ' + i + '\\n');`;

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
  const isWriting = () => writers.some(({ exitCode, signalCode }) => exitCode === null && signalCode === null);
  while (isWriting()) await rotateLogs(dir, { limitBytes: 100_000, keptFiles: 1_000 });
  await ended;
  const names = (await readdir(dir)).filter((name) => name.startsWith('part.log'));
  expect(names.length).toBeGreaterThan(3);
  const numbered = names.map((name) => Number(name.split('.')[2] ?? 0)).sort((a, b) => b - a);
  const texts = await Promise.all(numbered.map((n) => readFile(n === 0 ? log : `${log}.${n}`, 'utf8')));
  const lines = texts.join('').trimEnd().split('\n');
  // Elsewhere a moment's lines may be lost, as the file says.
  if (!canCollapse()) return expect(lines.length).toBeLessThanOrEqual(2 * LINES);
  for (const name of ['a', 'b']) {
    const own = lines.filter((line) => line.startsWith(`${name} `));
    expect(own.length).toBe(LINES);
    expect(own.findIndex((line, i) => line !== `${name} ${i}`)).toBe(-1);
  }
  return expect(lines.length).toBe(2 * LINES);
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
