/** Doctor on homes in every condition: it never fails itself, and names what is wrong. */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { createServer as createHttpServer } from 'node:http';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, expect, inject, test } from 'vitest';
import { checkAgents } from '../../maintenance/doctor/agents.ts';
import type { Check } from '../../maintenance/doctor/check.ts';
import { runChecks } from '../../maintenance/doctor/doctor.ts';
import { checkOtherUsers } from '../../maintenance/doctor/other-users.ts';
import { checkEnvironment } from '../../maintenance/doctor/services.ts';
import { identifyRunning, isSuspended, type ProcessIdentity } from '../../processes/identity.ts';
import { ownModulePath } from '../../processes/own-module.ts';
import { type ServiceAddresses, homePaths, prepareHome, writeState } from '../../services/home/home.ts';
import { freshDatabase, type LabDatabase } from '../lab/database.ts';
import { until } from '../lab/until.ts';

let database: LabDatabase;
let home: string;
let children: ChildProcess[];
beforeAll(async () => {
  database = await freshDatabase();
});
afterAll(() => database.drop());
beforeEach(async () => {
  home = await mkdtemp(path.join(tmpdir(), 'longhaul-doctor-'));
  children = [];
});
afterEach(async () => {
  for (const child of children) child.kill('SIGKILL');
  await rm(home, { recursive: true, force: true });
});

const envOf = (more: NodeJS.ProcessEnv = {}): NodeJS.ProcessEnv => ({
  PATH: process.env['PATH'],
  LONGHAUL_HOME: path.join(home, 'home'),
  LONGHAUL_CACHE: path.join(home, 'cache'),
  TEMPORAL_CONFIG_FILE: '/dev/null',
  ...more,
});
const bad = (checks: readonly Check[]): Check[] => checks.filter(({ level }) => level === 'problem');
const named = (checks: readonly Check[], name: string): Check | undefined =>
  checks.find((check) => check.name === name);

/** A process that the process table shows as a part of the home: by its command line and the folder that it works in. */
async function running(part: 'worker' | 'backend'): Promise<{ child: ChildProcess; identity: ProcessIdentity }> {
  const paths = await prepareHome(path.join(home, 'home'));
  const program = ownModulePath(part === 'worker' ? 'worker' : 'backend/main');
  const args = ['-e', 'setInterval(() => {}, 60_000)', program, '--home', paths.home];
  const child = spawn(process.execPath, args, { stdio: 'ignore', cwd: paths.home });
  children.push(child);
  return { child, identity: await until('the process', () => identifyRunning(child.pid ?? 0)) };
}

/** As a supervisor that is gone by now wrote it. */
async function recordParts(
  processes: Readonly<Record<string, ProcessIdentity>>,
  facts: ServiceAddresses = {},
): Promise<void> {
  const paths = await prepareHome(path.join(home, 'home'));
  const parts = Object.entries(processes).map(([name, identity]) => ({
    name,
    state: 'ready' as const,
    process: identity,
    detail: null,
    failures: 0,
    hopeless: false,
    logFile: path.join(paths.logs, `${name}.log`),
  }));
  await writeState(paths, { supervisor: { pid: 1, startTime: '0', bootId: 'old' }, repairs: 0, facts, parts });
}

test('without services doctor finds no problem and creates nothing', async () => {
  const checks = await runChecks(envOf());
  expect(bad(checks)).toEqual([]);
  expect(named(checks, 'services')?.detail).toContain('longhaul up -d');
  expect(named(checks, 'home')?.detail).toContain('is made at the first start');
  expect(await readdir(home)).toEqual([]);
});

test('each invalid setting is a separate problem, without its secret', async () => {
  const checks = await runChecks(envOf({ LONGHAUL_AGENT_SLOTS: 'many', DATABASE_URL: 'mysql://u:sesame@h/x' }));
  expect(bad(checks).map(({ detail }) => detail.split(':')[0])).toEqual(['DATABASE_URL', 'LONGHAUL_AGENT_SLOTS']);
  expect(JSON.stringify(checks)).not.toContain('sesame');
});

test("a user's own database and Temporal that respond are reported with version and schema", async () => {
  const env = envOf({ DATABASE_URL: database.url, TEMPORAL_ADDRESS: inject('temporalAddress') });
  const checks = await runChecks(env);
  expect(named(checks, 'database')).toMatchObject({
    level: 'ok',
    detail: expect.stringMatching(/Postgres \d+.*up to date/) as string,
  });
  expect(named(checks, 'temporal server')).toMatchObject({ level: 'ok' });
  expect(named(checks, 'tasks')).toMatchObject({ level: 'ok' });
  expect(named(checks, 'leftovers')).toMatchObject({ level: 'ok' });
  expect(JSON.stringify(checks)).not.toContain(new URL(database.url).password);
});

test('those that do not respond are unreachable, and their passwords stay secret', async () => {
  const env = envOf({ DATABASE_URL: 'postgres://u:sesame@127.0.0.1:9/x', TEMPORAL_ADDRESS: '127.0.0.1:9' });
  const checks = await runChecks(env);
  expect(named(checks, 'temporal server')?.detail).toBe(
    "Temporal's namespace default does not respond: connect ECONNREFUSED 127.0.0.1:9",
  );
  const unreachable = checks.filter((check) => check.unreachable).map(({ name }) => name);
  expect(unreachable).toEqual(['database', 'temporal server']);
  expect(JSON.stringify(checks)).not.toContain('sesame');
});

test('a backend that waits for Temporal does not repeat why Temporal is unavailable', async () => {
  const parts = { temporal: { ok: false, detail: 'the whole story' }, intake: { ok: false, detail: 'once more' } };
  const backend = createHttpServer((_, response) => response.writeHead(503).end(JSON.stringify({ parts })));
  await new Promise<void>((resolve) => backend.listen(0, '127.0.0.1', resolve));
  const { port } = backend.address() as AddressInfo;
  const { identity } = await running('backend');
  await recordParts({ backend: identity }, { backendUrl: `http://127.0.0.1:${port}` });
  const checks = await runChecks(envOf({ DATABASE_URL: database.url, TEMPORAL_ADDRESS: '127.0.0.1:9' }));
  backend.close();
  expect(named(checks, 'backend answers')).toMatchObject({
    detail: `http://127.0.0.1:${port} waits for Temporal`,
    unreachable: true,
  });
  expect(JSON.stringify(checks).match(/ECONNREFUSED/g)).toHaveLength(1);
});

test('rows of another host, missing programs and tasks that wait are named', async () => {
  await database.sql`INSERT INTO hosts (name) VALUES ('elsewhere')`;
  await database.sql`INSERT INTO available_agents (name, supports_acp, install_path) VALUES ('mine', true, '/nowhere/mine')`;
  await database.sql`INSERT INTO tasks (input, created_at) VALUES ('x', now() - interval '10 min')`;
  const env = envOf({
    DATABASE_URL: database.url,
    TEMPORAL_ADDRESS: inject('temporalAddress'),
    LONGHAUL_HOST_NAME: 'here',
  });
  const checks = await runChecks(env);
  expect(named(checks, 'host')).toMatchObject({
    level: 'problem',
    advice: expect.stringContaining('elsewhere') as string,
  });
  expect(named(checks, 'agent mine')).toMatchObject({
    level: 'warning',
    advice: expect.stringContaining('agents remove mine') as string,
  });
  expect(named(checks, 'services')).toMatchObject({
    level: 'warning',
    detail: 'not running; 1 task waits',
    advice: 'longhaul up -d',
  });
  expect(named(checks, 'tasks')?.detail).toMatch(/^1 task waits \([0-9a-f]{8}\) for over a minute without a run/);
});

test('services that ended without down, and a suspended one, are problems', async () => {
  const [dead, asleep] = [await running('backend'), await running('worker')];
  dead.child.kill('SIGKILL');
  asleep.child.kill('SIGSTOP');
  await until('both', () => isSuspended(asleep.identity) && identifyRunning(dead.identity.pid) === undefined);
  await recordParts({ backend: dead.identity, worker: asleep.identity });
  const checks = await runChecks(envOf());
  const detail = (name: string) => checks.find((check) => check.name === name && check.unreachable)?.detail;
  expect(detail('supervisor')).toBe('stopped');
  expect(detail('backend')).toBe('stopped');
  expect(detail('worker')).toMatch(/^failed, pid \d+, suspended by a signal/);
});

test('a worker that is alive and no longer responds is named', async () => {
  const { identity } = await running('worker');
  await recordParts({ worker: identity });
  const env = envOf({
    DATABASE_URL: database.url,
    TEMPORAL_ADDRESS: inject('temporalAddress'),
    LONGHAUL_HOST_NAME: 'lab',
  });
  const silent = async () => named(await runChecks(env), 'worker answers');
  const spoke = (ago: string) => database.sql`
    INSERT INTO worker_metrics (host, metrics, at) VALUES (${`lab/${identity.pid}`}, '', now() - ${ago}::interval)
    ON CONFLICT (host) DO UPDATE SET at = EXCLUDED.at`;
  expect(await silent()).toBeUndefined();
  await spoke('30 s');
  expect(await silent()).toBeUndefined();
  await spoke('5 min');
  expect(await silent()).toMatchObject({
    level: 'warning',
    detail: expect.stringMatching(/^pid \d+ has written no metrics for 3\d\d s/) as string,
  });
});

test('a home that is a file, and a port that another program has, are problems', async () => {
  const stranger = createServer();
  await new Promise<void>((resolve) => stranger.listen(0, '127.0.0.1', resolve));
  const address = stranger.address();
  const listen = `127.0.0.1:${typeof address === 'object' ? address?.port : ''}`;
  const taken = await runChecks(envOf({ LONGHAUL_LISTEN: listen }));
  stranger.close();
  expect(bad(taken)).toMatchObject([{ name: 'port', detail: `${listen} is taken` }]);
  await writeFile(path.join(home, 'home'), '');
  const file = await runChecks(envOf());
  expect(named(file, 'home')).toMatchObject({
    level: 'problem',
    detail: expect.stringContaining('is not a folder') as string,
  });
});

test('a token file with which the backend cannot start is a problem, with the message of up', async () => {
  const paths = await prepareHome(path.join(home, 'home'));
  expect(named(await runChecks(envOf()), 'token')).toMatchObject({
    level: 'ok',
    detail: `${paths.tokenFile} (is made at the first start)`,
  });
  await writeFile(paths.tokenFile, '');
  expect(bad(await runChecks(envOf()))).toMatchObject([
    {
      name: 'token',
      detail: expect.stringMatching(/^The token file .*token: expected at least 32 letters/) as string,
      advice: expect.stringContaining('Remove it') as string,
    },
  ]);
  const elsewhere = path.join(home, 'elsewhere');
  expect(bad(await runChecks(envOf({ LONGHAUL_TOKEN_FILE: elsewhere })))).toMatchObject([
    { name: 'token', detail: `LONGHAUL_TOKEN_FILE: there is no ${elsewhere}.` },
  ]);
  await writeFile(elsewhere, 'sesame'.repeat(10));
  const well = await runChecks(envOf({ LONGHAUL_TOKEN_FILE: elsewhere }));
  expect(bad(well)).toEqual([]);
  expect(JSON.stringify(well)).not.toContain('sesame');
});

test('leftovers are counted and not removed', async () => {
  const paths = homePaths(path.join(home, 'home'));
  const folder = path.join(paths.home, 'locks');
  await mkdir(folder, { recursive: true });
  const dead = { token: 't', subject: '/a', pid: 1, startTime: '0', bootId: 'another', pidNamespace: '', text: '' };
  await writeFile(path.join(folder, `${'0'.repeat(32)}.lock`), JSON.stringify(dead));
  const checks = await runChecks(envOf());
  expect(named(checks, 'leftovers')).toMatchObject({
    level: 'warning',
    detail: expect.stringContaining('1 × lock') as string,
  });
  expect(await readdir(folder)).toHaveLength(1);
});

test.each([
  [
    'a model of a server of yours',
    { DEFAULT_MODEL: 'local/qwen3', LONGHAUL_LOCAL_MODEL_URL: 'http://127.0.0.1:1/v1' },
    'ok',
    'model local/qwen3, provider local',
  ],
  [
    'a key without a default model',
    { ANTHROPIC_API_KEY: 'secret' },
    'ok',
    'provider anthropic; DEFAULT_MODEL is not set: each task must name a model',
  ],
  [
    'a default model without its key',
    { DEFAULT_MODEL: 'openai/gpt-5' },
    'warning',
    'DEFAULT_MODEL is openai/gpt-5, and the environment has no provider for it',
  ],
  [
    'a default model of a provider that there is not',
    { DEFAULT_MODEL: 'acme/x', ANTHROPIC_API_KEY: 'secret' },
    'warning',
    'DEFAULT_MODEL is acme/x, and the environment has provider anthropic for it',
  ],
])('with %s nothing says that only the demo is there', async (_, more, level, detail) => {
  const checks = await runChecks(envOf({ PATH: path.join(home, 'empty'), ...more }));
  expect(named(checks, 'agent native')).toMatchObject({ level, detail });
  expect(JSON.stringify(checks)).not.toMatch(/only the demo|secret/);
});

test('a model that only this shell configures is named as such', async () => {
  const [PATH, worker] = [path.join(home, 'empty'), { PATH: path.join(home, 'empty') }];
  const checks = await checkAgents(undefined, { worker, shell: { PATH, DEFAULT_MODEL: 'local/m' } });
  expect(named(checks, 'agent native')).toMatchObject({
    level: 'warning',
    detail: 'this shell configures a model or provider, the running worker has none',
  });
  expect(named(checks, 'agents')).toBeUndefined();
});

test('variables of the native agent that differ from those of the worker are named', () => {
  const worker = { PATH: '/bin', OPENAI_API_KEY: 'a' };
  const shell = {
    PATH: '/bin',
    DEFAULT_MODEL: 'local/m',
    LONGHAUL_LOCAL_MODEL_URL: 'u',
    LONGHAUL_LOCAL_MODEL_KEY: 'k',
    OPENAI_API_KEY: 'b',
  };
  const [check] = checkEnvironment(worker, shell);
  expect(check).toMatchObject({
    level: 'warning',
    detail: expect.stringMatching(
      /in DEFAULT_MODEL, LONGHAUL_LOCAL_MODEL_KEY, LONGHAUL_LOCAL_MODEL_URL, OPENAI_API_KEY$/,
    ) as string,
    advice: expect.stringContaining('`longhaul down && longhaul up -d`') as string,
  });
  expect(checkEnvironment(shell, shell)).toMatchObject([{ level: 'ok' }]);
});

test('with the demo agent only, doctor warns and says what to install', async () => {
  const checks = await runChecks(envOf({ PATH: path.join(home, 'empty') }));
  expect(named(checks, 'agents')).toMatchObject({
    level: 'warning',
    detail: expect.stringContaining('only the demo') as string,
    advice: expect.stringContaining('npm install -g') as string,
  });
});

const PASSWD = [
  'root:x:0:0::/root:/bin/bash',
  'nobody:x:65534:65534::/:/usr/sbin/nologin',
  'me:x:1000:1000::/home/me:/bin/bash',
];

test.each([
  ['one account', PASSWD, [0, 1000], 'ok', 'none'],
  [
    'a second account',
    [...PASSWD, 'you:x:1001:1001::/home/you:/bin/zsh'],
    [0, 1000],
    'warning',
    '1 can log in here (you)',
  ],
  ['one that may not log in', [...PASSWD, 'build:x:1001:1001::/:/usr/sbin/nologin'], [1000], 'ok', 'none'],
  ['a user of a directory service', PASSWD, [0, 1000, 54321], 'warning', '(uid 54321)'],
] as const)('people who can log in: %s', (_, lines, processOwners, level, detail) => {
  const check = checkOtherUsers({ passwd: lines.join('\n'), processOwners, self: 1000 });
  expect(check).toMatchObject({ level, detail: expect.stringContaining(detail) as string });
});

test('doctor checks for other users if Temporal is embedded, not with a server of yours', async () => {
  expect(named(await runChecks(envOf()), 'other users')).toBeDefined();
  const env = envOf({ DATABASE_URL: database.url, TEMPORAL_ADDRESS: inject('temporalAddress') });
  expect(named(await runChecks(env), 'other users')).toBeUndefined();
});
