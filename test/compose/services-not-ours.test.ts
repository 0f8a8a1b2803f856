/**
 * What the compose file starts, as plain processes, against services that are not ours: a stock Temporal server at a
 * given address, and a Postgres of another major version with a plain role and the tables of an existing backend.
 */
import { mkdir, mkdtemp, readdir, realpath, rm } from 'node:fs/promises';
import { homedir, tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { migrateDatabase } from '../../client/migrate-database.ts';
import { freePort } from '../../services/supervisor/ports.ts';
import { connect, type Sql } from '../../store/sql.ts';
import { longhaul, type Ran } from '../lab/longhaul.ts';
import { makeRepository, type SampleRepository } from '../lab/repositories.ts';
import { until } from '../lab/until.ts';
import { VARIABLES } from './compose-file.ts';
import { Container, type Place, TOKEN } from './containers.ts';
import { foreignPostgres, type ForeignPostgres } from './foreign-postgres.ts';
import { foreignTemporal, type ForeignTemporal } from './foreign-temporal.ts';
import { tlsProxy } from './tls-proxy.ts';

const EXISTING_TABLES = `
  CREATE TABLE projects (id uuid PRIMARY KEY, name text, path text);
  CREATE TABLE available_agents (name text PRIMARY KEY, supports_acp boolean, install_path text);
  CREATE TABLE sessions (id uuid PRIMARY KEY, project_id uuid REFERENCES projects, name text, model text, status text);
  CREATE TABLE chats (id uuid PRIMARY KEY, session_id uuid REFERENCES sessions, name text, status text, created_at timestamptz);
  CREATE TABLE tasks (id uuid PRIMARY KEY, project_id uuid REFERENCES projects, input text, agent text, model text,
    mode_id text, thinking_option_id text, session_id uuid, state text, execution_path text, created_at timestamptz,
    started_at timestamptz, ended_at timestamptz, output_summary text, cost_tokens integer);
  CREATE TABLE messages (id uuid PRIMARY KEY, session_id uuid, chat_id uuid REFERENCES chats, role text, content text,
    status text, tokens_used integer, created_at timestamptz, finished_at timestamptz);
  CREATE TABLE pending_changes (id uuid PRIMARY KEY, session_id uuid, task_id uuid REFERENCES tasks, file_path text,
    operation text, diff text);
  INSERT INTO available_agents VALUES ('demo', true, NULL)`;

const PASSWORD = VARIABLES['LONGHAUL_DB_PASSWORD'];
/** They only end what hangs: some of these tests start a dozen programs, one after the other. */
const BOUND_MS = 100_000;
/** A test counts the folders that are left, so no worktree is parked. */
const WORKER_ENV = { LONGHAUL_PARKED_WORKTREES: '0' };
vi.setConfig({ testTimeout: 150_000, hookTimeout: 150_000 });

let dir: string;
let place: Place;
let repository: SampleRepository;
let postgres: ForeignPostgres;
let temporal: ForeignTemporal;
let backend: Container;
let worker: Container;
let sql: Sql;
/** For commands on the same machine. */
let env: Record<string, string>;

beforeAll(async () => {
  dir = await realpath(await mkdtemp(path.join(tmpdir(), 'longhaul-compose-')));
  const cacheDir = process.env['LONGHAUL_CACHE'] ?? path.join(homedir(), '.cache', 'longhaul');
  const [postgresPort, temporalPort, backendPort] = [await freePort(), await freePort(), await freePort()];
  const projects = path.join(dir, 'projects');
  place = { dir, projects, postgresPort, temporalPort, backendPort, cacheDir };
  for (const folder of [projects, path.join(dir, 'postgres')]) await mkdir(folder);
  repository = await makeRepository(path.join(projects, 'shop'), { 'README.md': '# Shop\n' });
  postgres = await foreignPostgres(path.join(dir, 'postgres'), postgresPort, EXISTING_TABLES);
  temporal = await foreignTemporal(dir, temporalPort, cacheDir);
  backend = await Container.of('backend', place);
  worker = await Container.of('worker', place);
  const databaseUrl = postgres.url('longhaul', 'longhaul', PASSWORD);
  env = {
    DATABASE_URL: databaseUrl,
    TEMPORAL_ADDRESS: `127.0.0.1:${temporalPort}`,
    LONGHAUL_HOST_NAME: 'containers',
  };
  sql = connect(databaseUrl, { max: 2, applicationName: 'test' });
});

afterAll(async () => {
  await Promise.all([backend.end('SIGKILL'), worker.end('SIGTERM')]);
  await sql.end({ timeout: 1 });
  await Promise.all([postgres.stop(), temporal.stop()]);
  await rm(dir, { recursive: true, force: true, maxRetries: 5 });
});

/** As a program that knows nothing of us: the columns that it has always filled. */
async function insertTask(input: string): Promise<string> {
  await sql`INSERT INTO projects (id, name, path) VALUES ('6f7c1f0e-0000-4000-8000-000000000001', 'shop', ${repository.path})
            ON CONFLICT DO NOTHING`;
  const [row] = await sql<{ id: string }[]>`
    INSERT INTO tasks (id, project_id, input, agent, state)
    VALUES (gen_random_uuid(), '6f7c1f0e-0000-4000-8000-000000000001', ${input}, 'demo', 'pending') RETURNING id`;
  return row?.id ?? '';
}

const stateOf = async (id: string): Promise<string | undefined> => {
  const [row] = await sql<{ state: string }[]>`SELECT state FROM tasks WHERE id = ${id}`;
  return row?.state;
};

async function completed(id: string): Promise<string> {
  const ended = await until(`the end of task ${id}`, async () => {
    const state = await stateOf(id).catch(() => undefined);
    return state === undefined || state === 'pending' || state === 'running' ? undefined : state;
  }, BOUND_MS); // prettier-ignore
  const [change] = await sql<{ diff: string }[]>`SELECT diff FROM pending_changes WHERE task_id = ${id}`;
  return `${ended}\n${change?.diff}`;
}

const healthy = (container: Container) => until('a healthy container', () => container.healthy(), BOUND_MS);
const says = (container: Container, text: RegExp) =>
  until(`a line like ${text}`, async () => text.test(await container.log().catch(() => '')), BOUND_MS);
const command = (...args: string[]): Promise<Ran> => longhaul(path.join(dir, 'cli-home'), args, env, BOUND_MS);

test('backend and worker that start first wait for Postgres and Temporal, then run a task that a program inserts', async () => {
  backend.start();
  worker.start(WORKER_ENV);
  for (const container of [backend, worker]) {
    await says(container, /waiting for Postgres at 127\.0\.0\.1:\d+: .*ECONNREFUSED/);
    expect(await container.healthy()).toBe(false);
  }
  await postgres.start();
  for (const container of [backend, worker]) {
    await says(container, /"msg":"waiting for Temporal at 127\.0\.0\.1:\d+: [^;]*"/);
    expect(await container.healthy()).toBe(false);
  }
  const task = await insertTask('Write hello.txt with "Hello".');
  await temporal.start();
  expect(await completed(task)).toMatch(/^completed\n[\s\S]*\+Hello/);
  await healthy(backend);
  await healthy(worker);
});

describe('once they run', () => {
  beforeEach(async () => {
    if (!backend.running) backend.start();
    if (!worker.running) worker.start(WORKER_ENV);
    await Promise.all([healthy(backend), healthy(worker)]);
  });

  test('a task survives a restart of each, also of Postgres and Temporal', async () => {
    const task = await insertTask('Write a.txt with "a". Slowly say Going on. Write b.txt with "b".');
    const written = async (): Promise<boolean> => {
      const [row] = await sql<{ n: number }[]>`SELECT count(*)::int AS n FROM frames WHERE task_id = ${task} AND type = 'tool_call'`;
      return (row?.n ?? 0) > 0;
    }; // prettier-ignore
    await until('the first file', written, BOUND_MS);
    await worker.end('SIGKILL');
    await backend.end('SIGKILL');
    worker.start(WORKER_ENV);
    backend.start();
    await temporal.stop();
    await temporal.start();
    await postgres.stop();
    await postgres.start();
    const end = await completed(task);
    expect(end).toMatch(/^completed\n/);
    expect(end.match(/^\+(a|b)$/gm)).toEqual(['+a', '+b']);
    expect(await readdir(path.join(dir, 'var', 'worktrees')).then((all) => all.flat())).toEqual([]);
  });

  test('a task is submitted and followed to its end over REST, with the configured token', async () => {
    const url = `http://127.0.0.1:${place.backendPort}/api/tasks`;
    const headers = { authorization: `Bearer ${TOKEN}`, 'content-type': 'application/json' };
    const body = JSON.stringify({ project_path: repository.path, agent: 'demo', input: 'Write rest.txt with "rest".' });
    expect(
      (await fetch(url, { method: 'POST', body, headers: { ...headers, authorization: 'Bearer x' } })).status,
    ).toBe(401);
    const made = await fetch(url, { method: 'POST', body, headers });
    expect(made.status).toBe(201);
    const { id } = (await made.json()) as { id: string };
    expect(await completed(id)).toMatch(/^completed\n[\s\S]*\+rest/);
    const shown = await fetch(`${url}/${id}`, { headers });
    expect(await shown.json()).toMatchObject({
      state: 'completed',
      change: { files: 1 },
      actions: ['reply', 'retry', 'remove'],
    });
  });

  test('the command line works with them with DATABASE_URL and TEMPORAL_ADDRESS alone', async () => {
    const ran = await command('run', '--project', repository.path, '--agent', 'demo', 'Write cli.txt with "cli".');
    expect(ran).toMatchObject({ code: 0 });
    const listed = JSON.parse((await command('ls', '--json')).stdout) as { input: string; state: string }[];
    expect(listed[0]).toMatchObject({ input: 'Write cli.txt with "cli".', state: 'completed' });
  });

  test('`up` runs its own backend and worker on them, and `down` leaves them running', async () => {
    await Promise.all([backend.end(), worker.end()]);
    const up = await command('up', '-d');
    try {
      expect(up).toMatchObject({ code: 0 });
      const status = JSON.parse((await command('status', '--json')).stdout) as {
        database_url: string;
        temporal_address: string;
        parts: { name: string; state: string; pid: number | null; detail: string }[];
      };
      expect(status).toMatchObject({ database_url: env['DATABASE_URL'], temporal_address: env['TEMPORAL_ADDRESS'] });
      expect(status.parts.map(({ name, state }) => `${name} ${state}`)).toEqual(
        ['supervisor', 'postgres', 'temporal', 'worker', 'backend'].map((name) => `${name} ready`),
      );
      expect(status.parts[1]).toMatchObject({ pid: null, detail: `not ours: 127.0.0.1:${place.postgresPort}` });
    } finally {
      expect(await command('down')).toMatchObject({ code: 0 });
    }
    // Still there, and still what the containers need.
    await sql`SELECT 1`;
    worker.start(WORKER_ENV);
    await healthy(worker);
  });

  test('over TLS, with a private authority, configured as for Temporal’s tools', async () => {
    await Promise.all([backend.end(), worker.end()]);
    const proxy = await tlsProxy(dir, place.temporalPort);
    try {
      const secure = { TEMPORAL_ADDRESS: proxy.address };
      worker.start(secure);
      await says(worker, new RegExp(`waiting for Temporal at ${proxy.address}`));
      await worker.end();
      const trusted = { ...secure, TEMPORAL_TLS: 'true', TEMPORAL_TLS_SERVER_CA_CERT_PATH: proxy.authorityFile };
      worker.start(trusted);
      backend.start(trusted);
      expect(await completed(await insertTask('Write tls.txt with "tls".'))).toMatch(/^completed\n[\s\S]*\+tls/);
      expect(proxy.connections()).toBeGreaterThanOrEqual(2);
    } finally {
      await Promise.all([backend.end(), worker.end()]);
      await proxy.close();
    }
  });
});

describe('a database that refuses access', () => {
  let admin: Sql;
  beforeAll(async () => {
    await Promise.all([backend.end(), worker.end()]);
    admin = connect(postgres.url('postgres'), { max: 1 });
    await admin.unsafe(`CREATE ROLE guest LOGIN PASSWORD 'guest'`);
    await admin.unsafe('CREATE DATABASE closed');
  });
  afterAll(() => admin.end({ timeout: 1 }));

  /** It ends by itself; what it says last. */
  async function lastWords(container: Container, url: string): Promise<string> {
    expect(await container.runOnce({ DATABASE_URL: url })).toBe(1);
    return (await container.log()).trimEnd().split('\n').at(-1)?.replaceAll('\\"', '"') ?? '';
  }

  test('a role that may not create tables is reported in one line', async () => {
    for (const container of [worker, backend]) {
      const line = await lastWords(container, postgres.url('closed', 'guest', 'guest'));
      expect(line).toContain('DATABASE_URL: the role "guest" may not make or change the tables of database "closed"');
      expect(line).toContain('(permission denied for schema public)');
      expect(line).toContain('GRANT CREATE ON SCHEMA public TO "guest"');
    }
  });

  test('a wrong password and a missing database are reported in one line', async () => {
    const wrong = await lastWords(worker, postgres.url('longhaul', 'longhaul', 'guess'));
    expect(wrong).toMatch(/^DATABASE_URL: 127\.0\.0\.1:\d+ refuses it: password authentication failed/);
    expect(wrong).not.toContain('guess');
    const nowhere = await lastWords(worker, postgres.url('nowhere', 'guest', 'guest'));
    expect(nowhere).toContain('Create the database, or name another one.');
  });

  test('a role that may only read and write is sufficient if another has created the tables', async () => {
    const owner = connect(postgres.url('closed'), { max: 1 });
    try {
      await migrateDatabase(postgres.url('closed'));
      await expect(migrateDatabase(postgres.url('closed', 'guest', 'guest'))).rejects.toThrow('may not make or change');
      await owner.unsafe('GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO guest');
      await migrateDatabase(postgres.url('closed', 'guest', 'guest'));
    } finally {
      await owner.end({ timeout: 1 });
    }
  });
});
