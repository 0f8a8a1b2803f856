import { spawn } from 'node:child_process';
import { openSync, closeSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { homePaths, prepareHome, readState } from '../../services/home/home.ts';
import { writeJson } from '../../services/home/json-file.ts';
import type { Part } from '../../services/supervisor/part.ts';
import { stopHome } from '../../services/stop-home.ts';
import { Supervisor } from '../../services/supervisor/supervisor.ts';

/** No file system that is full can be had without being root: what writes to this folder is told so. */
const full = vi.hoisted(() => ({ folder: '' }));
vi.mock('../../services/home/json-file.ts', async (original) => {
  const real = await original<typeof import('../../services/home/json-file.ts')>();
  const writeJson: typeof real.writeJson = (path, value) =>
    full.folder !== '' && path.startsWith(full.folder)
      ? Promise.reject(Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC' }))
      : real.writeJson(path, value);
  return { ...real, writeJson };
});

const TSX = pathToFileURL(createRequire(import.meta.url).resolve('tsx')).href;
const LOG = fileURLToPath(new URL('fixtures/log.ts', import.meta.url));

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'longhaul-full-disk-'));
});
afterEach(async () => {
  full.folder = '';
  await rm(folder, { recursive: true });
});

test('a program whose log is on a full disk loses the lines and continues', async () => {
  // Every write to it fails with ENOSPC.
  const device = openSync('/dev/full', 'w');
  const child = spawn(process.execPath, ['--import', TSX, LOG], {
    stdio: ['ignore', device, 'pipe'],
    timeout: 20_000,
  });
  closeSync(device);
  let said = '';
  child.stderr?.setEncoding('utf8').on('data', (text: string) => (said += text));
  const code = await new Promise((resolve) => child.once('close', resolve));
  expect({ code, said }).toEqual({ code: 0, said: 'lives on' });
});

test('a JSON file that cannot be written leaves no temporary file', async () => {
  await mkdir(join(folder, 'taken'));
  await expect(writeJson(join(folder, 'taken'), {})).rejects.toThrow();
  // Fails while it is written, before there is anything to rename.
  await expect(writeJson(join(folder, 'new'), 1n)).rejects.toThrow(/BigInt/);
  expect(await readdir(folder)).toEqual(['taken']);
});

function part(name: string, stopped: string[]): Part {
  const start: Part['start'] = async () => ({
    process: null,
    exited: new Promise(() => {}),
    release: () => {},
    attached: false,
    detail: 'here',
    facts: {},
  });
  return {
    name,
    needs: [],
    logFile: join(folder, name),
    start,
    find: async () => undefined,
    stop: async () => void stopped.push(name),
  };
}

test('down stops what a killed supervisor left, although its lock cannot be written', async () => {
  const paths = await prepareHome(folder);
  const stopped: string[] = [];
  full.folder = paths.lock;
  await stopHome(paths, [part('postgres', stopped), part('worker', stopped)]);
  expect(stopped).toEqual(['worker', 'postgres']);
});

test('a supervisor that cannot write its state reports it once, keeps its parts, and writes it later', async () => {
  const paths = await prepareHome(folder);
  const stopped: string[] = [];
  const said: string[] = [];
  const stop = new AbortController();
  full.folder = paths.run;
  const supervisor = new Supervisor({ parts: [part('worker', stopped)], paths, report: (line) => said.push(line) });
  const ran = supervisor.run(stop.signal);
  await supervisor.ready(stop.signal);
  expect(said.filter((line) => line.includes('cannot write'))).toHaveLength(1);
  expect(await readState(homePaths(folder))).toBeUndefined();
  full.folder = '';
  await expect.poll(async () => (await readState(paths))?.parts[0]).toMatchObject({ name: 'worker', state: 'ready' });
  stop.abort();
  await ran;
  expect(stopped).toEqual(['worker']);
});
