import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { connectTemporal } from '../../client/temporal.ts';
import { readAnnouncement } from '../../services/supervisor/ready.ts';
import type { Sql } from '../../store/sql.ts';
import type { TaskId } from '../../contract/ids.ts';
import { taskWorkflowId } from '../../contract/names.ts';
import { builtModule } from '../lab/built.ts';
import { emptyDatabase, freshDatabase, type LabDatabase } from '../lab/database.ts';
import { type LabTemporal, labTemporal } from '../lab/temporal.ts';

let server: LabTemporal;
let database: LabDatabase;
let sql: Sql;
let home: string;
beforeAll(async () => {
  server = await labTemporal();
  database = await freshDatabase();
  ({ sql } = database);
  home = await mkdtemp(join(tmpdir(), 'longhaul-backend-'));
});
afterAll(async () => {
  await server.remove();
  await database.drop();
  await rm(home, { recursive: true, force: true });
});

const children: ChildProcess[] = [];
afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
});

interface Backend {
  /** What it has written so far. */
  readonly said: () => string;
  readonly child: ChildProcess;
  readonly url: string;
  /** Resolves with the announced URL once it is ready. */
  readonly ready: Promise<string | undefined>;
}

/** As the supervisor starts it; `url` from its log, as it may not become ready. */
async function startBackend(databaseUrl = database.url): Promise<Backend> {
  const child = spawnBackend({ DATABASE_URL: databaseUrl });
  const pipe = child.stdio[3];
  if (!pipe || !('read' in pipe) || !child.stdout || !child.stderr) throw new Error('no pipes');
  const ready = readAnnouncement(pipe).then((announcement) => announcement?.url);
  let said = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => (said += chunk.toString()));
  const url = await addressOf(child.stdout);
  return { child, url, ready, said: () => said };
}

function spawnBackend(env: NodeJS.ProcessEnv): ChildProcess {
  const child = spawn(process.execPath, [builtModule('backend/main')], {
    env: {
      PATH: process.env['PATH'],
      LONGHAUL_HOME: home,
      LONGHAUL_LISTEN: '127.0.0.1:0',
      LONGHAUL_READY_FD: '3',
      TEMPORAL_ADDRESS: server.target.connection.address,
      TEMPORAL_CONFIG_FILE: '/dev/null',
      LONGHAUL_TEMPORAL_UI_URL: 'http://ui',
      DATABASE_URL: database.url,
      ...env,
    },
    stdio: ['ignore', 'pipe', 'pipe', 'pipe'],
  });
  children.push(child);
  return child;
}

function addressOf(stdout: Readable): Promise<string> {
  return new Promise((resolve, reject) => {
    let said = '';
    stdout.on('data', (chunk: Buffer) => {
      said += chunk.toString();
      const address = /"address":"([^"]+)"/.exec(said)?.[1];
      if (address) resolve(address);
    });
    stdout.once('end', () => reject(new Error(`the backend ended: ${said}`)));
  });
}

interface Readiness {
  readonly status: number;
  readonly ready: boolean;
  readonly parts: Record<string, { ok: boolean; detail?: string }>;
}

async function readiness(url: string): Promise<Readiness> {
  const response = await fetch(`${url}/readyz`);
  return { status: response.status, ...((await response.json()) as Omit<Readiness, 'status'>) };
}

test('a backend reports that it is ready, starts tasks, and exits in order on SIGTERM', async () => {
  const { child, url, ready } = await startBackend();
  expect(await ready).toBe(url);
  expect((await fetch(`${url}/healthz`)).status).toBe(200);
  const fine = { ok: true };
  expect(await readiness(url)).toEqual({
    status: 200,
    ready: true,
    parts: { postgres: fine, migrations: fine, temporal: fine, intake: fine },
  });
  const [task] = await sql`INSERT INTO tasks (project_id, input) VALUES (gen_random_uuid(), 'x') RETURNING id`;
  const run = async () =>
    (await sql`SELECT run_id FROM tasks WHERE id = ${task?.['id'] as string}`)[0]?.['run_id'] as unknown;
  await expect.poll(run).toBeTruthy();
  const headers = {
    authorization: `Bearer ${await readFile(join(home, 'token'), 'utf8').then((token) => token.trim())}`,
  };
  const shown = await fetch(`${url}/api/tasks/${task?.['id'] as string}`, { headers });
  expect(await shown.json()).toMatchObject({
    workflow_url: expect.stringMatching(/^http:\/\/ui\/namespaces\//) as string,
  });
  child.kill('SIGTERM');
  expect(await once(child, 'exit')).toEqual([0, null]);
});

test('it continues while Temporal is unavailable, reports that, and becomes ready again with Temporal', async () => {
  const { child, url, ready } = await startBackend();
  await ready;
  await server.stop();
  const away = await readiness(url);
  expect(away).toMatchObject({ status: 503, ready: false, parts: { postgres: { ok: true }, temporal: { ok: false } } });
  expect((await fetch(`${url}/healthz`)).status).toBe(200);
  await server.start();
  await expect.poll(async () => (await readiness(url)).ready).toBe(true);
  expect(child.exitCode).toBeNull();
});

test('it continues when Postgres terminates its connections, and becomes ready again', async () => {
  const { child, url, ready } = await startBackend();
  await ready;
  for (let i = 0; i < 5; i++) {
    await sql`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'longhaul backend'`;
    await expect.poll(async () => (await readiness(url)).ready).toBe(true);
  }
  expect(child.exitCode).toBeNull();
});

test('without its tables it runs but is not ready, and names the missing migrations', async () => {
  const empty = await emptyDatabase();
  try {
    const { url } = await startBackend(empty.url);
    const { status, parts } = await readiness(url);
    expect(status).toBe(503);
    expect(parts['migrations']?.detail).toContain('0001_tables.sql');
  } finally {
    for (const child of children.splice(0)) child.kill('SIGKILL');
    await empty.drop();
  }
});

test('its token is created at the first start, kept at the next, and is in no log', async () => {
  const first = await startBackend();
  const file = join(home, 'token');
  const token = (await readFile(file, 'utf8')).trim();
  expect((await stat(file)).mode & 0o777).toBe(0o600);
  const ask = (url: string, path: string, headers: Record<string, string>) => fetch(`${url}${path}`, { headers });
  const bearer = { authorization: `Bearer ${token}` };
  expect((await ask(first.url, '/api/tasks', bearer)).status).toBe(200);
  // Ways in which it might come into the log: a refused handshake, a stranger's page, a query, a fault.
  const wrong = { 'sec-websocket-protocol': `longhaul.bearer.${token}x`, authorization: `Basic ${token}` };
  expect((await ask(first.url, `/api/tasks?token=${token}`, wrong)).status).toBe(401);
  expect((await ask(first.url, `/api/tasks?token=${token}`, { ...bearer, origin: 'http://evil' })).status).toBe(403);
  expect((await ask(first.url, `/api/nothing?token=${token}`, bearer)).status).toBe(404);
  await sql`ALTER TABLE available_agents RENAME TO away`;
  expect((await ask(first.url, `/api/agents`, bearer)).status).toBe(500);
  await sql`ALTER TABLE away RENAME TO available_agents`;
  expect(first.said()).toContain('internal_error');
  expect(first.said()).not.toContain(token);
  first.child.kill('SIGTERM');
  await once(first.child, 'exit');
  const second = await startBackend();
  expect((await ask(second.url, '/api/tasks', bearer)).status).toBe(200);
});

test('it refuses in one line to listen to the network without an existing token', async () => {
  const fresh = await mkdtemp(join(tmpdir(), 'longhaul-backend-'));
  try {
    const missing = join(fresh, 'elsewhere');
    const cases: [NodeJS.ProcessEnv, RegExp][] = [
      [
        { LONGHAUL_LISTEN: '0.0.0.0:0' },
        /LONGHAUL_LISTEN is 0\.0\.0\.0:0, which other machines may reach, and there is no token in /,
      ],
      [{ LONGHAUL_LISTEN: '127.0.0.1:0', LONGHAUL_TOKEN_FILE: missing }, /LONGHAUL_TOKEN_FILE: there is no /],
    ];
    for (const [env, line] of cases) {
      const child = spawnBackend({ LONGHAUL_HOME: fresh, ...env });
      const [said, [code]] = await Promise.all([text(child.stdout ?? Readable.from([])), once(child, 'exit')]);
      expect(code).toBe(1);
      const lines = said.trim().split('\n');
      expect(lines).toHaveLength(1);
      expect((JSON.parse(lines[0] ?? '') as { msg: string }).msg).toMatch(line);
    }
    await writeFile(missing, 'b'.repeat(64));
    const child = spawnBackend({ LONGHAUL_HOME: fresh, LONGHAUL_LISTEN: '0.0.0.0:0', LONGHAUL_TOKEN_FILE: missing });
    const { port } = new URL(await addressOf(child.stdout ?? Readable.from([])));
    const answer = await fetch(`http://127.0.0.1:${port}/api/agents`, {
      headers: { authorization: `Bearer ${'b'.repeat(64)}` },
    });
    expect(answer.status).toBe(200);
  } finally {
    for (const child of children.splice(0)) child.kill('SIGKILL');
    await rm(fresh, { recursive: true, force: true });
  }
});

test('it reports once that its port is taken; the exit code depends on whether the user chose the port', async () => {
  const stranger = createServer().listen(0, '127.0.0.1');
  await once(stranger, 'listening');
  const { port } = stranger.address() as AddressInfo;
  const LONGHAUL_LISTEN = `127.0.0.1:${port}`;
  const fatal = async (env: NodeJS.ProcessEnv): Promise<unknown> => {
    const said = await text(spawnBackend({ LONGHAUL_LISTEN, ...env }).stdout ?? Readable.from([]));
    return JSON.parse(said.trim().split('\n').at(-1) ?? '');
  };
  const message = `cannot listen on ${LONGHAUL_LISTEN}: the port is taken`;
  const supervised = `${message}; the supervisor starts the backend again, on another port unless LONGHAUL_LISTEN names this one`;
  expect(await fatal({})).toMatchObject({ msg: supervised, err: { message: supervised, code: 'service_unreachable' } });
  expect(await fatal({ LONGHAUL_READY_FD: undefined })).toMatchObject({ err: { message, code: 'invalid_input' } });
  stranger.close();
});

test('two backends on one database start each task once, also if one of them is killed', async () => {
  const [one, two] = await Promise.all([startBackend(), startBackend()]);
  await Promise.all([one.ready, two.ready]);
  const insert = () =>
    sql<
      { id: TaskId }[]
    >`INSERT INTO tasks (project_id, input) SELECT gen_random_uuid(), 'x' FROM generate_series(1, 30) RETURNING id`;
  const first = await insert();
  one.child.kill('SIGKILL');
  const tasks = [...first, ...(await insert())];
  const waiting = () => sql`SELECT FROM tasks WHERE id IN ${sql(tasks.map(({ id }) => id))} AND run_id IS NULL`;
  // Claims of the dead one are taken over after 10 s.
  await expect.poll(waiting).toHaveLength(0);
  const link = connectTemporal(server.target);
  try {
    for (const { id } of tasks) {
      const [row] = await sql<{ run_id: string }[]>`SELECT run_id FROM tasks WHERE id = ${id}`;
      // A workflow id has one run: duplicates are rejected.
      expect((await link.client.workflow.getHandle(taskWorkflowId(id)).describe()).runId).toBe(row?.run_id);
    }
  } finally {
    await link.close();
  }
});
