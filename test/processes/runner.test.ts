import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { once } from 'node:events';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { identifyRunning, isAlive } from '../../processes/identity.ts';
import { loaderArguments } from '../../processes/own-module.ts';
import { PipeServer } from '../../processes/pipe-server.ts';
import { type RunRequest, run } from '../../processes/run.ts';
import { type Program, type ProgramStart, type StartedProgram, startAsChild } from '../../processes/program.ts';
import { type RunOutcome, runProgram, startProgram, startRunner } from '../../processes/runner.ts';
import { runnersOf } from '../lab/runners.ts';
import { until } from '../lab/until.ts';

const STARTER = fileURLToPath(new URL('./runner-starter.ts', import.meta.url));

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'longhaul-runner-'));
});
afterEach(async () => rm(folder, { recursive: true, force: true }));

const shell = (script: string, rest: Partial<RunRequest> = {}): RunRequest => ({
  file: 'sh',
  args: ['-c', script],
  cwd: folder,
  env: { PATH: process.env['PATH'] },
  timeoutMs: 30_000,
  ...rest,
});

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

describe.each<[string, (wanted: RunRequest, signal?: AbortSignal) => Promise<RunOutcome>]>([
  ['from this process', (wanted, signal) => run(wanted, signal && { signal })],
  ['from the runner', (wanted, signal) => runProgram(wanted, signal)],
])('a program that runs %s', (where, start) => {
  beforeAll(async () => {
    if (where === 'from this process') return;
    folder = tmpdir(); // the first run needs one before there is a test's own
    startRunner();
    await runnerReady();
  });

  test('returns its exit code and its output byte for byte, and reads its input', async () => {
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

  test('gets exactly the given environment', async () => {
    const end = await start({ ...shell(''), file: 'env', args: [], env: { PATH: process.env['PATH'], A: 'b c' } });
    const lines = end.kind === 'ended' ? end.stdout.toString().trim().split('\n').sort() : [];
    expect(lines).toEqual(['A=b c', `PATH=${process.env['PATH']}`]);
  });

  test('is ended if its output exceeds the limit', async () => {
    const end = await start(shell('yes', { maxStdoutBytes: 100_000 }));
    expect(end).toMatchObject({ kind: 'ended', exitCode: null, truncated: true, timedOut: false });
    expect(end.kind === 'ended' && end.stdout.length).toBe(100_000);
  });

  test('is ended at its timeout, with its child processes', async () => {
    const end = await start(shell('sleep 100 & echo $! > pid; wait', { timeoutMs: 300 }));
    expect(end).toMatchObject({ kind: 'ended', timedOut: true });
    expect(identifyRunning(await pidIn(path.join(folder, 'pid')))).toBeUndefined();
  });

  test('is ended by an abort, also if it ignores SIGTERM', async () => {
    const abort = new AbortController();
    const running = start(shell(`trap '' TERM; echo $$ > pid; while :; do sleep 0.05; done`), abort.signal);
    const pid = await pidIn(path.join(folder, 'pid'));
    abort.abort();
    expect(await running).toMatchObject({ kind: 'ended', exitCode: null });
    expect(identifyRunning(pid)).toBeUndefined();
  });

  test('that does not exist is distinguished from one that cannot be started', async () => {
    expect(await start({ ...shell(''), file: 'no-such-program' })).toMatchObject({
      kind: 'not_started',
      notFound: true,
    });
    expect(await start(shell('a\0b'))).toMatchObject({ kind: 'not_started', notFound: false });
  });

  test('transfers 30 MB', async () => {
    const end = await start(shell('head -c 31457280 /dev/zero'));
    expect(end.kind === 'ended' && end.stdout.equals(Buffer.alloc(31_457_280))).toBe(true);
  });
});

const started = async (start: Promise<ProgramStart>): Promise<StartedProgram> => {
  const outcome = await start;
  if (outcome.kind === 'started') return outcome.program;
  throw new Error(outcome.message);
};

const textOf = async (stream: Readable): Promise<string> => {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString();
};

const script = (text: string): Program => shell(text);

describe.each<[string, (program: Program) => Promise<ProgramStart>]>([
  ['from this process', startAsChild],
  ['from the runner', startProgram],
])('a program that is started %s', (where, start) => {
  beforeAll(async () => {
    if (where === 'from this process') return;
    folder = tmpdir();
    startRunner();
    await runnerReady();
  });

  test('communicates by its pipes, and exits with its code once its stdin is closed', async () => {
    const program = await started(start(script('cat; echo no >&2; exit 3')));
    const said = Promise.all([textOf(program.stdout), textOf(program.stderr)]);
    program.stdin.write('a line\n');
    program.stdin.end('and another');
    expect(await said).toEqual(['a line\nand another', 'no\n']);
    expect(await program.exited).toEqual({ code: 3, signal: null });
    await program.closed;
  });

  test('returns its first output, and its identity also after it has exited', async () => {
    const program = await started(start(script('echo $$')));
    expect(await textOf(program.stdout)).toBe(`${program.identity.pid}\n`);
    await program.exited;
    expect(isAlive(program.identity)).toBe(false);
  });

  test('that is killed reports the signal, and its group is ended', async () => {
    const program = await started(start(script('sleep 100 & echo $!; wait')));
    const [line] = (await once(program.stdout, 'data')) as [Buffer];
    program.stdout.resume();
    process.kill(program.identity.pid, 'SIGKILL');
    expect(await program.exited).toEqual({ code: null, signal: 'SIGKILL' });
    await until('the rest of its group is gone', () => identifyRunning(Number(line.toString())) === undefined);
    program.stderr.resume();
    await program.closed;
  });

  test('transfers 30 MB at the pace of its reader', async () => {
    const program = await started(start(script('head -c 31457280 /dev/zero')));
    expect((await textOf(program.stdout)).length).toBe(31_457_280);
  });

  test('that has exited breaks the pipe to it, and has no other effect', async () => {
    const program = await started(start(script('exec 0<&-; echo closed')));
    program.stdin.on('error', () => {}); // as every caller of programs listens
    expect(await textOf(program.stdout)).toBe('closed\n');
    await program.exited;
    const error = await new Promise((resolve) => program.stdin.write('a line\n', resolve));
    expect(error).toBeInstanceOf(Error);
  });

  test('that does not exist, or whose folder does not exist, is reported', async () => {
    expect(await start({ ...script(''), file: 'no-such-program' })).toMatchObject({
      kind: 'not_started',
      notFound: true,
    });
    expect(await start({ ...script(''), cwd: path.join(folder, 'none') })).toMatchObject({ kind: 'not_started' });
    expect(await start(script('a\0b'))).toMatchObject({ kind: 'not_started', notFound: false });
  });
});

test("a foreign connection in place of a program's is closed, and the program is served", async () => {
  const server = new PipeServer();
  const pipes = await server.expect();
  const stranger = connect(pipes.address);
  stranger.write(`${'0'.repeat(36)} 1\n`);
  await once(stranger.resume(), 'close');
  const own = [0, 1, 2].map((fd) => connect(pipes.address).end(`${pipes.token} ${fd}\nhello ${fd}`));
  const arrived = await pipes.connected;
  expect(await Promise.all(arrived.map((socket) => textOf(socket)))).toEqual(['hello 0', 'hello 1', 'hello 2']);
  for (const socket of own) socket.destroy();
});

test('foreign connections that send nothing are closed, and the program is served', async () => {
  const server = new PipeServer({ greetingTimeoutMs: 200, maxUnproven: 3 });
  const pipes = await server.expect();
  const ends: Promise<unknown>[] = [];
  const opened = performance.now();
  for (let count = 0; count < 10; count += 1) {
    const stranger = connect(pipes.address);
    await once(stranger, 'connect');
    ends.push(once(stranger.resume(), 'close'));
  }
  // The first ones are too many, the others say nothing for too long.
  await Promise.all(ends);
  expect(performance.now() - opened).toBeGreaterThanOrEqual(190);
  const own = [0, 1, 2].map((fd) => connect(pipes.address).end(`${pipes.token} ${fd}\nhello ${fd}`));
  const arrived = await pipes.connected;
  expect(await Promise.all(arrived.map((socket) => textOf(socket)))).toEqual(['hello 0', 'hello 1', 'hello 2']);
  for (const socket of own) socket.destroy();
});

test('of more foreign connections than allowed the oldest is closed at once', async () => {
  const server = new PipeServer({ greetingTimeoutMs: 3_600_000, maxUnproven: 1 });
  const pipes = await server.expect();
  const oldest = connect(pipes.address);
  await once(oldest, 'connect');
  const newest = connect(pipes.address);
  await once(oldest.resume(), 'close');
  expect(newest.destroyed).toBe(false);
  newest.destroy();
});

test('a runner that is killed ends its programs, leaves none behind, and the next program runs', async () => {
  startRunner();
  await runnerReady();
  const talked = await started(startProgram(script('sleep 100')));
  const running = runProgram(shell('echo $$ > pid; sleep 100'));
  const pid = await pidIn(path.join(folder, 'pid'));
  const [runner = 0] = runnersOf(process.pid);
  process.kill(runner, 'SIGKILL');
  expect(await running).toEqual({ kind: 'lost' });
  await until('its program is gone', () => identifyRunning(pid) === undefined);
  await until('the program that was talked to is gone', () => !isAlive(talked.identity));
  expect(await talked.exited).toEqual({ code: null, signal: 'SIGKILL', runnerLost: true });
  expect(await runProgram(shell('echo well'))).toMatchObject({ kind: 'ended', exitCode: 0 });
});

describe('a process with a runner', () => {
  let starter: ChildProcess;
  beforeEach(() => {
    starter = spawn(process.execPath, [...loaderArguments(STARTER), STARTER, folder], { stdio: 'inherit' });
  });

  test('that is killed in the middle of a run leaves neither the runner nor its programs', async () => {
    const pids = [await pidIn(path.join(folder, 'pid')), await pidIn(path.join(folder, 'talked'))];
    const runners = runnersOf(starter.pid ?? 0);
    expect(runners).toHaveLength(1);
    starter.kill('SIGKILL');
    await until('all are gone', () => [...pids, ...runners].every((one) => identifyRunning(one) === undefined));
  });

  test('exits by itself once its run has ended, and its runner exits with it', async () => {
    await pidIn(path.join(folder, 'pid'));
    const runners = runnersOf(starter.pid ?? 0);
    const ended = new Promise((resolve) => starter.once('exit', resolve));
    await rm(path.join(folder, 'pid'));
    expect(await ended).toBe(0);
    await until('the runner is gone', () => runners.every((one) => identifyRunning(one) === undefined));
  });
});
