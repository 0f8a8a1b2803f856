/** `longhaul logs -f` over rotations by the function that the supervisor calls: each line once, in order. */
import { appendFile, mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { followLogs } from '../../cli/follow-logs.ts';
import { rotateLogs } from '../../services/supervisor/rotate-logs.ts';
import { until } from '../lab/until.ts';

let folder: string;
let file: string;
let stop: AbortController;
let following: Promise<void>;
let said: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'lh-logs-'));
  file = join(folder, 'worker.log');
  stop = new AbortController();
  said = '';
});
afterEach(async () => {
  stop.abort();
  await following;
  await rm(folder, { recursive: true, force: true });
});

function follow(lines: number): void {
  following = followLogs([file], { lines, signal: stop.signal, print: (text) => void (said += text) });
}

/** About 10 kB, so that a rotation leaves a rest: it takes whole blocks only. */
const linesOf = (name: string): string => Array.from({ length: 500 }, (_, n) => `${name} line ${n} ....\n`).join('');

test('each line is printed once, in order, over rotations', async () => {
  await writeFile(file, linesOf('first'));
  follow(2);
  let expected = 'first line 498 ....\nfirst line 499 ....\n';
  await until('the last lines', () => said === expected);
  for (const name of ['second', 'third', 'fourth']) {
    await appendFile(file, linesOf(name));
    await rotateLogs(folder, { limitBytes: 1_000 });
    await appendFile(file, `after ${name}\n`);
    expected += `${linesOf(name)}after ${name}\n`;
    await until(`what follows ${name}`, () => said.endsWith(`after ${name}\n`));
    expect(said).toBe(expected);
  }
});

test('a file that was renamed before its writer started, and one that was cut by hand, are followed', async () => {
  await writeFile(file, 'one\n');
  follow(1);
  await until('the last line', () => said === 'one\n');
  await appendFile(file, 'two\n');
  await rename(file, `${file}.1`);
  await writeFile(file, 'three\n');
  await until('the new file', () => said.endsWith('three\n'));
  await writeFile(file, '4\n');
  await until('the cut file', () => said.endsWith('4\n'));
  expect(said).toBe('one\ntwo\nthree\n4\n');
});
