import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { moduleOfOurs, loaderArguments } from '../../processes/own-module.ts';
import { readAnnouncement } from '../../services/ready.ts';
import type { Sql } from '../../store/sql.ts';
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
  readonly child: ChildProcess;
  readonly url: string;
  /** Resolves with the announced URL once it is ready. */
  readonly ready: Promise<string | undefined>;
}

/** As the supervisor starts it; `url` from its log, as it may not become ready. */
async function startBackend(databaseUrl = database.url): Promise<Backend> {
  const entry = moduleOfOurs('backend/main');
  const child = spawn(process.execPath, [...loaderArguments(entry), entry], {
    env: {
      PATH: process.env['PATH'],
      LONGHAUL_HOME: home,
      LONGHAUL_LISTEN: '127.0.0.1:0',
      LONGHAUL_READY_FD: '3',
      DATABASE_URL: databaseUrl,
      TEMPORAL_ADDRESS: server.target.connection.address,
      TEMPORAL_CONFIG_FILE: '/dev/null',
    },
    stdio: ['ignore', 'pipe', 'inherit', 'pipe'],
  });
  children.push(child);
  const pipe = child.stdio[3];
  if (!pipe || !('read' in pipe) || !child.stdout) throw new Error('no pipes');
  const ready = readAnnouncement(pipe).then((announcement) => announcement?.url);
  const url = await addressOf(child.stdout);
  return { child, url, ready };
}

function addressOf(stdout: Readable): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = '';
    stdout.on('data', (chunk: Buffer) => {
      text += chunk.toString();
      const address = /"address":"([^"]+)"/.exec(text)?.[1];
      if (address) resolve(address);
    });
    stdout.once('end', () => reject(new Error(`the backend ended: ${text}`)));
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

test('a backend says when it is ready, starts tasks, and ends in order on SIGTERM', async () => {
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
  child.kill('SIGTERM');
  expect(await once(child, 'exit')).toEqual([0, null]);
});

test('it lives on while Temporal is away, says so, and is ready again when Temporal is', async () => {
  const { child, url, ready } = await startBackend();
  await ready;
  await server.stop();
  const away = await readiness(url);
  expect(away).toMatchObject({ status: 503, ready: false, parts: { postgres: { ok: true }, temporal: { ok: false } } });
  expect((await fetch(`${url}/healthz`)).status).toBe(200);
  await server.start();
  await expect.poll(async () => (await readiness(url)).ready, { timeout: 15_000 }).toBe(true);
  expect(child.exitCode).toBeNull();
});

test('it lives on when Postgres throws it out, and is ready again', async () => {
  const { child, url, ready } = await startBackend();
  await ready;
  for (let i = 0; i < 5; i++) {
    await sql`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'longhaul backend'`;
    await expect.poll(async () => (await readiness(url)).ready, { timeout: 10_000 }).toBe(true);
  }
  expect(child.exitCode).toBeNull();
});

test('without its tables it is up but not ready, and says which migrations are missing', async () => {
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
