/**
 * The demo as a user starts it: a child process with a folder for temporary files of its own, which must be empty in the
 * end.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdir, mkdtemp, readdir, readFile, realpath, rm, writeFile } from 'node:fs/promises';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { builtModule } from '../lab/built.ts';
import { until } from '../lab/until.ts';

/** Services are started and stopped in each; with both cores busy that has taken half a minute. */
const LONG_MS = 120_000;

let temporary: string;
beforeEach(async () => {
  temporary = await realpath(await mkdtemp(join(tmpdir(), 'longhaul-demo-test-')));
  // Postgres runs as another account if we are root.
  await chmod(temporary, 0o711);
});
afterEach(() => rm(temporary, { recursive: true, force: true }));

interface Demo {
  readonly child: ChildProcess;
  /** What it has printed so far. */
  readonly said: () => string;
  readonly exited: Promise<number | null>;
}

function startDemo(env: NodeJS.ProcessEnv = {}, ...args: string[]): Demo {
  const child = spawn(process.execPath, [builtModule('cli/main'), 'demo', ...args], {
    env: {
      PATH: process.env['PATH'],
      HOME: join(temporary, 'user'),
      LONGHAUL_CACHE: cacheDir(),
      TMPDIR: temporary,
      ...env,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let said = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => (said += chunk.toString()));
  return { child, said: () => said, exited: once(child, 'close').then(([code]) => code as number | null) };
}

function cacheDir(): string {
  const base = process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache');
  return process.env['LONGHAUL_CACHE'] ?? join(base, 'longhaul');
}

/** Command lines of the processes that know of the demo's folder. */
async function processes(): Promise<string[]> {
  const found: string[] = [];
  for (const pid of (await readdir('/proc')).filter((name) => /^\d+$/.test(name))) {
    const [command = '', environment = ''] = await Promise.all(
      ['cmdline', 'environ'].map((name) => readFile(`/proc/${pid}/${name}`, 'utf8').catch(() => '')),
    );
    if (`${command}\0${environment}`.includes(temporary)) found.push(`${pid} ${command.replaceAll('\0', ' ').trim()}`);
  }
  return found;
}

/** What is left: empty is right. */
async function leftovers(): Promise<string[]> {
  return [...(await readdir(temporary, { recursive: true })), ...(await processes())];
}

test('the demo shows a task to its end with the change, and leaves nothing', { timeout: LONG_MS }, async () => {
  // What the user has set must not matter.
  const demo = startDemo({ DATABASE_URL: 'postgres://nobody@127.0.0.1:9/none', LONGHAUL_LISTEN: '127.0.0.1:9' });
  expect(await demo.exited, demo.said()).toBe(0);
  const said = demo.said();
  for (const part of [
    'I am the demo agent',
    '☑ Say',
    '✓ Run node hello.js',
    '✓ completed',
    '3 files changed',
    'three files changed',
  ]) {
    expect(said).toContain(part);
  }
  expect(said).toContain("+export const goodbye = () => 'Goodbye!';");
  expect(said).toContain('+It says goodbye, too.');
  expect(said).toMatch(/Web UI: http:\/\/127\.0\.0\.1:\d+/);
  // oxlint-disable-next-line no-control-regex -- colours are for terminals
  expect(said).not.toMatch(/\u001b/);
  expect(await leftovers()).toEqual([]);
});

const hasSaid = (text: string) => async (demo: Demo) => demo.said().includes(text);
const supervisorIsThere = async (): Promise<boolean> =>
  (await processes()).some((command) => command.endsWith('main.js up'));

test.each([
  ['before anything is started', 'SIGHUP', 129, hasSaid('A temporary home')],
  ['when the supervisor runs but has no lock yet', 'SIGINT', 130, supervisorIsThere],
  ['while the worker starts', 'SIGTERM', 143, hasSaid('worker    starting')],
  ['in the middle of the task', 'SIGINT', 130, hasSaid('▸ Write goodbye.js')],
] as const)('interrupted %s by %s, it stops everything', { timeout: LONG_MS }, async (when, signal, code, moment) => {
  const demo = startDemo();
  await until(when, async () => (await moment(demo)) || demo.child.exitCode !== null, LONG_MS / 2);
  demo.child.kill(signal);
  expect(await demo.exited, demo.said()).toBe(code);
  expect(demo.said()).toContain('Interrupted after');
  expect(await leftovers()).toEqual([]);
});

test('a service that does not start fails the demo with its last output', { timeout: LONG_MS }, async () => {
  const programs = join(temporary, 'programs');
  await mkdir(programs);
  await writeFile(join(programs, 'temporal'), '#!/bin/sh\necho "the disk is made of cheese" >&2\nexit 1\n', { mode: 0o755 }); // prettier-ignore
  const demo = startDemo({ PATH: `${programs}:${process.env['PATH']}` });
  expect(await demo.exited, demo.said()).toBe(4);
  expect(demo.said()).toMatch(/Temporal ended while starting[^]*the disk is made of cheese/);
  expect(await leftovers()).toEqual(['programs', 'programs/temporal']);
});
