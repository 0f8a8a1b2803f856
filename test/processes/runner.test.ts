import { type ChildProcess, spawn } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { identifyRunning, readProc } from '../../processes/identity.ts';
import { loaderArguments } from '../../processes/own-module.ts';
import { type Run, run } from '../../processes/run.ts';
import { type RunOutcome, runProgram, startRunner } from '../../processes/runner.ts';
import { until } from '../lab/until.ts';

const STARTER = fileURLToPath(new URL('./runner-starter.ts', import.meta.url));

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'longhaul-runner-'));
});
afterEach(async () => rm(folder, { recursive: true, force: true }));

const shell = (script: string, rest: Partial<Run> = {}): Run => ({
  file: 'sh',
  args: ['-c', script],
  cwd: folder,
  env: { PATH: process.env['PATH'] },
  timeoutMs: 30_000,
  ...rest,
});

/** Children of a process that run the runner. */
function runnersOf(parent: number): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .filter((name) => {
      const stat = readProc(`/proc/${name}/stat`)?.toString('latin1') ?? '';
      const [, parentOf] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
      return Number(parentOf) === parent && readProc(`/proc/${name}/cmdline`)?.includes('runner-main') === true;
    })
    .map(Number);
}

/** Until a program's parent is the runner: before that programs run from here. */
async function runnerReady(): Promise<void> {
  const [runner] = runnersOf(process.pid);
  await until('the runner runs programs', async () => {
    const end = await runProgram(shell('echo $PPID'));
    return end.kind === 'ended' && Number(end.stdout.toString()) === (runner ?? runnersOf(process.pid)[0]);
  });
}

const pidIn = async (file: string): Promise<number> => {
  let pid = 0;
  await until(`a pid in ${file}`, async () => {
    pid = Number((await readFile(file, 'utf8').catch(() => '')).trim());
    return pid > 0;
  });
  return pid;
};

describe.each<[string, (wanted: Run, signal?: AbortSignal) => Promise<RunOutcome>]>([
  ['from this process', (wanted, signal) => run(wanted, signal && { signal })],
  ['from the runner', (wanted, signal) => runProgram(wanted, signal)],
])('a program that runs %s', (where, start) => {
  beforeAll(async () => {
    if (where === 'from this process') return;
    folder = tmpdir(); // the first run needs one before there is a test's own
    startRunner();
    await runnerReady();
  });

  test('gives its exit code, its output byte for byte, and takes input', async () => {
    const script = String.raw`cat; printf '\000\377'; echo no >&2; exit 3`;
    const end = await start(shell(script, { input: Buffer.from([0xfe, 0x0a]) }));
    expect(end).toEqual({
      kind: 'ended',
      exitCode: 3,
      stdout: Buffer.from([0xfe, 0x0a, 0x00, 0xff]),
      stderr: 'no\n',
      truncated: false,
      timedOut: false,
    });
  });

  test('sees the environment that it was given, and nothing else', async () => {
    const end = await start({ ...shell(''), file: 'env', args: [], env: { PATH: process.env['PATH'], A: 'b c' } });
    const lines = end.kind === 'ended' ? end.stdout.toString().trim().split('\n').sort() : [];
    expect(lines).toEqual(['A=b c', `PATH=${process.env['PATH']}`]);
  });

  test('is ended where it says more than is wanted', async () => {
    const end = await start(shell('yes', { maxStdoutBytes: 100_000 }));
    expect(end).toMatchObject({ kind: 'ended', exitCode: null, truncated: true, timedOut: false });
    expect(end.kind === 'ended' && end.stdout.length).toBe(100_000);
  });

  test('is ended after its time, with what it started', async () => {
    const end = await start(shell('sleep 100 & echo $! > pid; wait', { timeoutMs: 300 }));
    expect(end).toMatchObject({ kind: 'ended', timedOut: true });
    expect(identifyRunning(await pidIn(path.join(folder, 'pid')))).toBeUndefined();
  });

  test('is ended by an abort, also where it does not listen', async () => {
    const abort = new AbortController();
    const running = start(shell(`trap '' TERM; echo $$ > pid; while :; do sleep 0.05; done`), abort.signal);
    const pid = await pidIn(path.join(folder, 'pid'));
    abort.abort();
    expect(await running).toMatchObject({ kind: 'ended', exitCode: null });
    expect(identifyRunning(pid)).toBeUndefined();
  });

  test('that is not there is told from one that cannot be started', async () => {
    expect(await start({ ...shell(''), file: 'no-such-program' })).toMatchObject({
      kind: 'not_started',
      notFound: true,
    });
    expect(await start(shell('a\0b'))).toMatchObject({ kind: 'not_started', notFound: false });
  });

  test('brings 30 MB across', async () => {
    const end = await start(shell('head -c 31457280 /dev/zero'));
    expect(end.kind === 'ended' && end.stdout.equals(Buffer.alloc(31_457_280))).toBe(true);
  });
});

test('a runner that is killed loses what it ran, leaves none of it behind, and the next program runs', async () => {
  startRunner();
  await runnerReady();
  const running = runProgram(shell('echo $$ > pid; sleep 100'));
  const pid = await pidIn(path.join(folder, 'pid'));
  const [runner = 0] = runnersOf(process.pid);
  process.kill(runner, 'SIGKILL');
  expect(await running).toEqual({ kind: 'lost' });
  await until('its program is gone', () => identifyRunning(pid) === undefined);
  expect(await runProgram(shell('echo well'))).toMatchObject({ kind: 'ended', exitCode: 0 });
});

describe('a process with a runner', () => {
  let starter: ChildProcess;
  beforeEach(() => {
    starter = spawn(process.execPath, [...loaderArguments(STARTER), STARTER, folder], { stdio: 'inherit' });
  });

  test('that is killed in the middle of a run leaves neither the runner nor the program', async () => {
    const pid = await pidIn(path.join(folder, 'pid'));
    const runners = runnersOf(starter.pid ?? 0);
    expect(runners).toHaveLength(1);
    starter.kill('SIGKILL');
    await until('both are gone', () => [pid, ...runners].every((one) => identifyRunning(one) === undefined));
  });

  test('ends by itself once its run is over, and its runner with it', async () => {
    await pidIn(path.join(folder, 'pid'));
    const runners = runnersOf(starter.pid ?? 0);
    const ended = new Promise((resolve) => starter.once('exit', resolve));
    await rm(path.join(folder, 'pid'));
    expect(await ended).toBe(0);
    await until('the runner is gone', () => runners.every((one) => identifyRunning(one) === undefined));
  });
});
