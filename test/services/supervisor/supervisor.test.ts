import { spawn } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import postgres from 'postgres';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { ensureUp } from '../../../services/ensure-up.ts';
import { oneLineDetail } from '../../../services/status.ts';
import { homePaths, readState, type HomeState } from '../../../services/home/home.ts';
import { lockHolder } from '../../../services/home/lock.ts';
import { identifySelf, isAlive, type ProcessIdentity } from '../../../processes/identity.ts';
import { waitForExits } from '../../../processes/end.ts';
import { spawnDetached, type RunningProcess } from '../../../services/supervisor/detached.ts';
import { stopHome } from '../../../services/stop-home.ts';
import { fixtureParts } from '../fixtures/parts.ts';

const SUPERVISE = fileURLToPath(new URL('../fixtures/supervise.ts', import.meta.url));
const TSX = pathToFileURL(createRequire(import.meta.url).resolve('tsx')).href;

let home: string;
let said: string[];
let started: RunningProcess[];

beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'longhaul-supervisor-'));
  said = [];
  started = [];
});

afterEach(async () => {
  await down();
  for (const { identity } of started) expect(isAlive(identity)).toBe(false);
  await rm(home, { recursive: true, force: true });
});

async function up(env: Record<string, string> = {}): Promise<HomeState> {
  const { paths } = await fixtureParts(home);
  const supervisorLog = join(paths.logs, 'supervisor.log');
  const startSupervisor = async (): Promise<RunningProcess> => {
    const supervisor = await spawnDetached({
      command: process.execPath,
      args: ['--import', TSX, SUPERVISE, home],
      env: { ...process.env, ...env },
      cwd: home,
      logFile: supervisorLog,
    });
    started.push(supervisor);
    return supervisor;
  };
  await ensureUp({ paths, startSupervisor, supervisorLog, report: (line) => said.push(line) });
  return state();
}

async function down(): Promise<void> {
  const { paths, parts } = await fixtureParts(home);
  await stopHome(paths, parts);
}

async function state(): Promise<HomeState> {
  const found = await readState(homePaths(home));
  if (!found) throw new Error('no state.json');
  return found;
}

function processOf(from: HomeState, name: string): ProcessIdentity {
  const found = from.parts.find((part) => part.name === name)?.process;
  if (!found) throw new Error(`${name} has no process`);
  return found;
}

const processesOf = (from: HomeState): ProcessIdentity[] => from.parts.map((part) => processOf(from, part.name));

function kill(identity: ProcessIdentity): Promise<boolean> {
  process.kill(identity.pid, 'SIGKILL');
  return waitForExits([identity], { withinMs: 5_000 });
}

async function select(databaseUrl: string | undefined): Promise<unknown> {
  const sql = postgres(databaseUrl ?? '', { max: 1 });
  try {
    return (await sql`SELECT 42 AS answer`)[0]?.['answer'];
  } finally {
    await sql.end();
  }
}

describe('a home of its own', () => {
  test('three concurrent ups start each part once, and a part killed later is started again at its address', async () => {
    const [first, second, third] = await Promise.all([up(), up(), up()]);
    expect(processesOf(second)).toEqual(processesOf(first));
    expect(processesOf(third)).toEqual(processesOf(first));
    expect(await select(first.facts.databaseUrl)).toBe(42);

    for (const name of ['postgres', 'temporal', 'worker', 'backend']) await kill(processOf(first, name));
    const repaired = await up();

    expect(repaired.facts).toEqual(first.facts);
    expect(await select(repaired.facts.databaseUrl)).toBe(42);
    for (const [index, identity] of processesOf(repaired).entries()) {
      expect(identity).not.toEqual(processesOf(first)[index]);
    }
    expect(repaired.supervisor).toEqual(first.supervisor);
  });

  test('after a killed supervisor the next one attaches to all running parts', async () => {
    const before = await up();
    await kill(before.supervisor);
    const after = await up();
    expect(after.supervisor).not.toEqual(before.supervisor);
    expect(processesOf(after)).toEqual(processesOf(before));
    expect(after.facts).toEqual(before.facts);
  });

  test('a supervisor that finds another one running leaves the parts and the record to it', async () => {
    const before = await up();
    const { lock } = homePaths(home);
    const [own = ''] = await readdir(lock);
    const other = join(lock, 'other');
    await writeFile(other, JSON.stringify({ process: identifySelf(), holds: true }));
    await rm(join(lock, own));
    expect(await waitForExits([before.supervisor], { withinMs: 30_000 })).toBe(true);
    for (const identity of processesOf(before)) expect(isAlive(identity)).toBe(true);
    expect(await state()).toEqual(before);

    await rm(other);
    expect(processesOf(await up())).toEqual(processesOf(before));
  });

  test('with the supervisor and Postgres killed, up starts Postgres again and keeps the other parts', async () => {
    const before = await up();
    await kill(before.supervisor);
    await kill(processOf(before, 'postgres'));
    const after = await up();
    expect(after.facts).toEqual(before.facts);
    expect(processesOf(after).slice(1)).toEqual(processesOf(before).slice(1));
  });

  test('a part whose supervisor was killed before it recorded the part is not started twice', async () => {
    const before = await up();
    await kill(before.supervisor);
    const paths = homePaths(home);
    // As if it had been killed right after each spawn.
    await rm(join(paths.run, 'worker.json'));
    const { port, uiPort } = JSON.parse(await readFile(join(paths.temporal, 'server.json'), 'utf8'));
    const { writeJson } = await import('../../../services/home/json-file.ts');
    await writeJson(join(paths.temporal, 'server.json'), { port, uiPort });
    const after = await up();
    expect(processOf(after, 'temporal')).toEqual(processOf(before, 'temporal'));
    // Whether that worker was ready is unknown: it is replaced, not doubled.
    expect(isAlive(processOf(before, 'worker'))).toBe(false);
    expect(processOf(after, 'worker')).not.toEqual(processOf(before, 'worker'));
  });

  test('SIGTERM stops the parts in order and leaves no process', async () => {
    const before = await up();
    process.kill(before.supervisor.pid, 'SIGTERM');
    expect(await waitForExits([before.supervisor], { withinMs: 30_000 })).toBe(true);
    for (const identity of processesOf(before)) expect(isAlive(identity)).toBe(false);
    const log = await readFile(join(homePaths(home).logs, 'supervisor.log'), 'utf8');
    expect(log.match(/\w+(?=: stopped)/g)).toEqual(['backend', 'worker', 'temporal', 'postgres']);
    expect((await state()).parts.map((part) => part.state)).toEqual(['stopped', 'stopped', 'stopped', 'stopped']);
    expect(await lockHolder(homePaths(home).lock)).toBeUndefined();
  });

  test('a supervisor whose log is on a full disk still stops its parts', async () => {
    const { paths } = await fixtureParts(home);
    await symlink('/dev/full', join(paths.logs, 'supervisor.log'));
    const before = await up();
    await kill(processOf(before, 'worker'));
    await up();
    const now = await state();
    expect(now.supervisor).toEqual(before.supervisor);
    process.kill(now.supervisor.pid, 'SIGTERM');
    expect(await waitForExits([now.supervisor], { withinMs: 30_000 })).toBe(true);
    for (const identity of processesOf(now)) expect(isAlive(identity)).toBe(false);
  });

  test('down works when the supervisor was killed, and again when nothing runs', async () => {
    const before = await up();
    await kill(before.supervisor);
    await down();
    for (const identity of processesOf(before)) expect(isAlive(identity)).toBe(false);
    await down();
  });

  test('a second supervisor on the same home names the holder and changes nothing', async () => {
    const before = await up();
    const second = spawn(process.execPath, ['--import', TSX, SUPERVISE, home], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    let output = '';
    second.stdout.setEncoding('utf8').on('data', (text: string) => (output += text));
    await new Promise((resolve) => second.once('close', resolve));
    expect(output).toBe('busy\n');
    expect(await state()).toEqual(before);
  });

  test('up fails with the last output of a part that cannot start', async () => {
    await expect(up({ FIXTURE_FAILS: 'no tea' })).rejects.toMatchObject({
      code: 'service_unreachable',
      message: expect.stringMatching(/(worker|backend) failed 3 times: .*exit code 7.*cannot go on: no tea/s),
    });
    expect((await state()).parts.slice(0, 2).map((part) => part.state)).toEqual(['ready', 'ready']);
    const failed = said.filter((line) => /^(worker|backend) +failed/.test(line));
    expect(failed).not.toEqual([]);
    for (const line of failed)
      expect(line).toMatch(/failed {2}\w+ ended before it was ready \(exit code 7\): .*no tea/);
    expect(said.filter((line) => /starting .*no tea/.test(line))).toEqual([]);
  });
});

test('a detail that quotes a log is one line with its last message', () => {
  const quote = (...lines: string[]) =>
    oneLineDetail(['backend ended (exit code 1). /a b/backend.log ends with:', ...lines].join('\n'));
  expect(quote('{"level":30,"msg":"listening"}', '{"level":60,"msg":"the port is taken","err":{}}', '')).toBe(
    'backend ended (exit code 1): the port is taken',
  );
  expect(quote('Error: no tea', '7')).toBe('backend ended (exit code 1): 7');
  expect(quote('')).toBe('backend ended (exit code 1)');
  expect(oneLineDetail('127.0.0.1:4700')).toBe('127.0.0.1:4700');
  expect(oneLineDetail('two lines\nthat quote nothing')).toBe('two lines');
});
