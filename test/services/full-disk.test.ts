import { spawn } from 'node:child_process';
import { openSync, closeSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { writeJson } from '../../services/json-file.ts';

const TSX = pathToFileURL(createRequire(import.meta.url).resolve('tsx')).href;
const LOG = fileURLToPath(new URL('fixtures/log.ts', import.meta.url));

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'longhaul-full-disk-'));
});
afterEach(async () => {
  await rm(folder, { recursive: true });
});

test('a program whose log is on a full disk loses the lines and lives on', async () => {
  // Every write to it fails with ENOSPC.
  const full = openSync('/dev/full', 'w');
  const child = spawn(process.execPath, ['--import', TSX, LOG], {
    stdio: ['ignore', full, 'pipe'],
    timeout: 20_000,
  });
  closeSync(full);
  let said = '';
  child.stderr?.setEncoding('utf8').on('data', (text: string) => (said += text));
  const code = await new Promise((resolve) => child.once('close', resolve));
  expect({ code, said }).toEqual({ code: 0, said: 'lives on' });
});

test('a JSON file that cannot be written leaves no temporary one', async () => {
  await mkdir(join(folder, 'taken'));
  await expect(writeJson(join(folder, 'taken'), {})).rejects.toThrow();
  // Fails while it is written, before there is anything to rename.
  await expect(writeJson(join(folder, 'new'), 1n)).rejects.toThrow(/BigInt/);
  expect(await readdir(folder)).toEqual(['taken']);
});
