/** `longhaul queue`, `send` and `reply` as commands, on a database without services: the rows wait. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, beforeEach, expect, inject, test } from 'vitest';
import { freshDatabase, type LabDatabase } from '../lab/database.ts';
import { longhaulWith, type Ran } from '../lab/longhaul.ts';
import { makeRepository } from '../lab/repositories.ts';

let database: LabDatabase;
let home: string;
let project: string;
beforeAll(async () => {
  database = await freshDatabase();
  home = await mkdtemp(path.join(tmpdir(), 'longhaul-queue-'));
  const repository = await makeRepository(path.join(home, 'project'));
  const [row] = await database.sql<{ id: string }[]>`
    INSERT INTO projects (name, path) VALUES ('p', ${repository.path}) RETURNING id`;
  project = row?.id ?? '';
  await database.sql`INSERT INTO available_agents (name, supports_acp) VALUES ('demo', true)`;
});
afterAll(async () => {
  await database.drop();
  await rm(home, { recursive: true, force: true });
});

const run = (...args: string[]): Promise<Ran> =>
  longhaulWith(home, args, { databaseUrl: database.url, temporalAddress: inject('temporalAddress') });

let session: string;
let running: string;
beforeEach(async () => {
  const { sql } = database;
  const [row] = await sql<{ id: string }[]>`
    INSERT INTO sessions (project_id, name) VALUES (${project}, 's') RETURNING id`;
  session = row?.id ?? '';
  const [task] = await sql<{ id: string }[]>`
    INSERT INTO tasks (project_id, session_id, input, agent, state, claimed_at)
    VALUES (${project}, ${session}, 'running', 'demo', 'running', now()) RETURNING id`;
  running = task?.id ?? '';
});

async function inputs(): Promise<string[]> {
  const { stdout } = await run('queue', running, '--json');
  return (JSON.parse(stdout) as { tasks: { input: string }[] }).tasks.map(({ input }) => input);
}

test('a queue is shown and changed', async () => {
  const first = (await run('queue', 'add', session, 'first')).stdout.trim();
  const second = (await run('queue', 'add', running, '- second')).stdout.trim();
  expect(await inputs()).toEqual(['first', '- second']);
  expect((await run('queue', 'move', second.slice(0, 8), '1')).stdout).toMatch(/1 +\w{8} .*- second\n2 +\w{8} .*first/);
  expect(await run('queue', 'edit', second, '--', '-x is', 'wrong')).toMatchObject({ code: 0, stderr: '' });
  expect(await run('queue', 'rm', first)).toMatchObject({ code: 0, stdout: `task ${first.slice(0, 8)} is removed\n` });
  expect(await inputs()).toEqual(['-x is wrong']);
  const lost = await run('queue', 'edit', running, 'too late', '--json');
  expect(lost.code).not.toBe(0);
  expect(JSON.parse(lost.stderr)).toMatchObject({ error_code: 'task_not_queued' });
});

test('a queue is held and released', async () => {
  await run('queue', 'add', session, 'first');
  expect((await run('queue', 'hold', session)).stdout).toContain('held: no task starts until `longhaul queue release`');
  const set = (await run('queue', session, '--on-failure', 'hold')).stdout;
  expect(set).toContain('a task that fails or is cancelled holds this queue');
  expect((await run('queue', 'release', running, '--json')).stdout).toMatch(/"held_since":null/);
  expect(await run('queue', '00000000')).toMatchObject({
    stderr: expect.stringContaining('There is no session or task 00000000') as string,
  });
});

test('send and reply queue a message; --interrupt makes it the next one and cancels', async () => {
  const sent = await run('send', session, 'sent');
  expect(sent).toMatchObject({ code: 0, stderr: '' });
  const replied = await run('reply', sent.stdout.trim(), '--json', '- replied');
  expect(JSON.parse(replied.stdout)).toMatchObject({ session_id: session, agent: 'demo', input: '- replied' });
  expect((await run('send', '--interrupt', running, 'now')).code).toBe(0);
  expect(await inputs()).toEqual(['now', 'sent', '- replied']);
  const [task] = await database.sql`SELECT cancel_reason FROM tasks WHERE id = ${running}`;
  expect(task).toEqual({ cancel_reason: 'Interrupted by the next message.' });
});
