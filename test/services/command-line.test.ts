import { cp, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { identifyRunning } from '../../processes/identity.ts';
import { registerHome } from '../../services/home/identity.ts';
import { readSettings } from '../../services/settings.ts';
import { readStatus, type Status } from '../../services/status.ts';
import { DAMAGES } from '../lab/damage.ts';
import { longhaul as runLonghaul, type Ran } from '../lab/longhaul.ts';

let home: string;
beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'longhaul-cli-'));
});
afterEach(async () => {
  await longhaul(['down']);
  await rm(home, { recursive: true, force: true });
});

const longhaul = (args: readonly string[], env?: Record<string, string>): Promise<Ran> => runLonghaul(home, args, env);

const partsNow = async (): Promise<Status['parts']> => (await readStatus(readSettings({ LONGHAUL_HOME: home }))).parts;
const statusOf = ({ stdout }: Ran): Status => JSON.parse(stdout) as Status;

test('up -d returns with worker and backend at work, repairs a killed one, and down leaves nothing', async () => {
  const up = await longhaul(['up', '-d', '--json']);
  expect(up).toMatchObject({ code: 0 });
  const before = statusOf(up);
  expect(before.parts.map(({ name, state }) => `${name} ${state}`)).toEqual([
    'supervisor ready',
    'postgres ready',
    'temporal ready',
    'worker ready',
    'backend ready',
  ]);
  expect(before).toMatchObject({
    database_url: expect.stringMatching(/^postgres:\/\/longhaul:\w+@127\.0\.0\.1:\d+\/longhaul$/),
    temporal_address: expect.stringMatching(/^127\.0\.0\.1:\d+$/),
    home,
    token_file: join(home, 'token'),
  });
  expect((await stat(before.token_file ?? '')).mode & 0o777).toBe(0o600);
  const authorization = `Bearer ${(await readFile(before.token_file ?? '', 'utf8')).trim()}`;
  const agents = new URL('/api/agents', before.backend_url ?? '');
  expect(await (await fetch(agents, { headers: { authorization } })).json()).toMatchObject({
    items: expect.arrayContaining([expect.objectContaining({ name: 'demo' })]) as unknown,
  });
  expect((await fetch(agents)).status).toBe(401);
  expect((await fetch(before.temporal_ui_url ?? '')).status).toBe(200);
  expect((await fetch(new URL('/readyz', before.backend_url ?? ''))).status).toBe(200);
  expect(statusOf(await longhaul(['status', '--json']))).toEqual(before);

  process.kill(before.parts.find((part) => part.name === 'worker')?.pid ?? 0, 'SIGKILL');
  const after = statusOf(await longhaul(['up', '-d', '--json']));
  expect(after.parts.filter((part) => part.name !== 'worker')).toEqual(
    before.parts.filter((part) => part.name !== 'worker'),
  );
  expect(await longhaul(['down'])).toMatchObject({ code: 0, stdout: expect.stringContaining('worker') });
  for (const { pid } of after.parts) expect(identifyRunning(pid ?? 0)).toBeUndefined();
  expect(await longhaul(['status', '--json'])).toMatchObject({ code: 4 });
  expect(await longhaul(['down'])).toMatchObject({ code: 0, stdout: 'nothing was running\n' });
});

test('removed or changed records of what runs are determined again, and nothing is started twice', async () => {
  const before = statusOf(await longhaul(['up', '-d', '--json']));
  const lock = join(home, 'run', 'supervisor.lock');
  const [announcement = ''] = await readdir(lock);
  const files = [
    'run/state.json',
    'run/worker.json',
    'run/backend.json',
    'temporal/server.json',
    'postgres/server.json',
  ];
  for (const damage of ['of another shape', 'removed']) {
    for (const file of files) await DAMAGES[damage]?.(join(home, file));
    await DAMAGES['emptied']?.(join(lock, announcement));
    // Of the backend only its record knows the address.
    const shown = statusOf(await longhaul(['status', '--json']));
    expect(shown.parts.map(({ name, pid }) => [name, pid])).toEqual(before.parts.map(({ name, pid }) => [name, pid]));
    expect(shown).toMatchObject({ database_url: before.database_url, temporal_address: before.temporal_address });
    // A program tells its version once, as it starts: that was in its record.
    const parts = before.parts.map((part) => ({ ...part, version: part.name === 'supervisor' ? part.version : null }));
    expect(statusOf(await longhaul(['up', '-d', '--json']))).toEqual({ ...before, parts });
  }
  expect(await longhaul(['down'])).toMatchObject({ code: 0, stdout: expect.stringContaining('postgres') as string });
  for (const { pid } of before.parts) expect(identifyRunning(pid ?? 0)).toBeUndefined();
});

test('a listen address that other machines reach fails the start before anything runs, unless a token exists', async () => {
  const ran = await longhaul(['up', '-d'], { LONGHAUL_HOME: join(home, 'open'), LONGHAUL_LISTEN: '0.0.0.0:4709' });
  expect(ran).toMatchObject({
    code: 2,
    stderr: expect.stringMatching(/other machines may reach, and there is no token/) as string,
  });
  expect(ran.stderr.trim().split('\n')).toHaveLength(1);
});

test('a token file that does not exist, or contains no token, fails the start before anything runs', async () => {
  const file = join(home, 'elsewhere');
  const env = { LONGHAUL_TOKEN_FILE: file };
  expect(await longhaul(['up', '-d'], env)).toMatchObject({
    code: 2,
    stderr: `longhaul: LONGHAUL_TOKEN_FILE: there is no ${file}.\n`,
  });
  await writeFile(file, 'short');
  expect(await longhaul(['up', '-d'], env)).toMatchObject({
    code: 2,
    stderr: expect.stringMatching(/^longhaul: The token file .*: expected at least 32 letters/) as string,
  });
});

test('a port that the user set and another program has fails the start before anything runs', async () => {
  const stranger = createServer();
  await new Promise<void>((resolve) => stranger.listen(0, '127.0.0.1', resolve));
  const address = stranger.address();
  const listen = `127.0.0.1:${typeof address === 'object' ? address?.port : ''}`;
  for (const args of [['up', '-d'], ['up']]) {
    expect(await longhaul(args, { LONGHAUL_LISTEN: listen })).toMatchObject({
      code: 2,
      stderr: `longhaul: LONGHAUL_LISTEN is ${listen}, but that port is taken: end what listens there, choose another port, or unset it.\n`,
    });
  }
  expect(statusOf(await longhaul(['status', '--json'])).parts.every((part) => part.pid === null)).toBe(true);
  stranger.close();
});

test('an address of another machine, and an invalid database address, fail the start before anything runs', async () => {
  for (const [name, value, says] of [
    [
      'LONGHAUL_LISTEN',
      '192.0.2.1:4700',
      'LONGHAUL_LISTEN is 192.0.2.1:4700, but 192.0.2.1 is no address of this machine',
    ],
    [
      'DATABASE_URL',
      'postgres://u:p@host:99999/db',
      'DATABASE_URL: expected postgres://USER:PASSWORD@HOST:PORT/DATABASE',
    ],
  ] as const) {
    await writeFile(join(home, 'token'), 'x'.repeat(40));
    const { code, stderr } = await longhaul(['up', '-d'], { [name]: value });
    expect({ code, stderr }).toEqual({ code: 2, stderr: expect.stringContaining(says) as string });
    expect(stderr.trim().split('\n')).toHaveLength(1);
  }
  expect((await partsNow()).every(({ pid }) => pid === null)).toBe(true);
});

test('wrong usage and invalid settings exit with code 2, with --json as a problem', async () => {
  expect(await longhaul(['nonsense'])).toMatchObject({ code: 2 });
  expect(await longhaul(['--help'])).toMatchObject({ code: 0 });
  const wrong = await longhaul(['status', '--json'], { LONGHAUL_AGENT_SLOTS: 'many' });
  expect(wrong.code).toBe(2);
  expect(JSON.parse(wrong.stderr)).toEqual({
    type: 'about:blank',
    title: 'invalid input',
    detail: 'LONGHAUL_AGENT_SLOTS: expected a whole number, found "many"',
    error_code: 'invalid_input',
  });
});

test("the shell of a task does not start the task's home; it may start another one", async () => {
  const inTask = { LONGHAUL_TASK: '1a2b3c4d-0000-4000-8000-000000000000', LONGHAUL_TASK_HOME: home };
  const ran = await longhaul(['up', '-d'], inTask);
  expect(ran).toMatchObject({ code: 2, stderr: expect.stringContaining('belongs to task 1a2b3c4d') as string });
  expect((await partsNow()).every(({ pid }) => pid === null)).toBe(true);
  expect(await longhaul(['up', '-d'], { ...inTask, LONGHAUL_TASK_HOME: join(home, 'other') })).toMatchObject({
    code: 0,
  });
});

test('a second up names the variables that the running services lack, and continues a suspended part', async () => {
  expect(await longhaul(['up', '-d'])).toMatchObject({ code: 0 });
  const same = await longhaul(['up', '-d']);
  expect(same.stderr).not.toContain('note:');
  const keyed = await longhaul(['up', '-d'], { OPENAI_API_KEY: 'sesame' });
  expect(keyed.stderr).toMatch(/^note: .* differs in OPENAI_API_KEY; `longhaul down && longhaul up -d`/);
  expect(keyed.stderr).not.toContain('sesame');

  const worker = (await partsNow()).find((part) => part.name === 'worker');
  process.kill(worker?.pid ?? 0, 'SIGSTOP');
  await expect.poll(async () => (await partsNow()).find((part) => part.name === 'worker')?.state).toBe('failed');
  const continued = await longhaul(['up', '-d']);
  expect(continued).toMatchObject({ code: 0, stderr: expect.stringContaining('worker     was suspended') as string });
  expect((await partsNow()).find((part) => part.name === 'worker')).toEqual(worker);

  const other = await longhaul(['up', '-d'], { LONGHAUL_AGENT_SLOTS: '7' });
  expect(other).toMatchObject({ code: 0, stderr: expect.stringContaining('other settings') as string });
});

test('a copy of a home is not started while its original exists', async () => {
  const copy = `${home}-copy`;
  await registerHome(home);
  await cp(home, copy, { recursive: true });
  for (const args of [['up', '-d'], ['up']]) {
    expect(await longhaul(args, { LONGHAUL_HOME: copy })).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(
        /^longhaul: \S+ is a copy of the home \S+, which still exists: [^\n]+\n$/,
      ) as string,
    });
  }
  await rm(copy, { recursive: true });
});

test('a home that cannot be created is reported in one line', async () => {
  const file = join(home, 'a file');
  await writeFile(file, '');
  const { code, stderr } = await longhaul(['up', '-d'], { LONGHAUL_HOME: file });
  expect(code).toBe(2);
  expect(stderr).toMatch(/^longhaul: LONGHAUL_HOME .*expected a folder/);
  expect(stderr.trim().split('\n')).toHaveLength(1);
});
