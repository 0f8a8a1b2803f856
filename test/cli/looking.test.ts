/** Finding tasks and sessions by what is known of them; removing and retrying one; the logs of the parts. */
import { appendFile, mkdir, mkdtemp, realpath, rename, rm, writeFile } from 'node:fs/promises';
import { type ChildProcess, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, inject, test } from 'vitest';
import { FrameHub } from '../../frames/follow.ts';
import { idOf } from '../../store/ids.ts';
import type { Sql } from '../../store/sql.ts';
import type { SessionId, TaskId } from '../../contract/ids.ts';
import { builtCommand } from '../lab/built.ts';
import { freshDatabase, type LabDatabase } from '../lab/database.ts';
import { append, delta } from '../lab/log.ts';
import { longhaul as inHome, longhaulWith, type Ran } from '../lab/longhaul.ts';
import { until } from '../lab/until.ts';

let database: LabDatabase;
let sql: Sql;
let dir: string;
let shop: string;
beforeAll(async () => {
  database = await freshDatabase();
  ({ sql } = database);
  dir = await realpath(await mkdtemp(join(tmpdir(), 'lh-looking-')));
  shop = join(dir, 'shop');
  await mkdir(join(shop, '.git'), { recursive: true });
  await writeFile(join(shop, '.git', 'HEAD'), 'ref: refs/heads/main\n');
  await mkdir(join(shop, 'src'));
  await sql`INSERT INTO available_agents (name, supports_acp) VALUES ('demo', true)`;
});
afterAll(async () => {
  await database.drop();
  await rm(dir, { recursive: true, force: true });
});

const longhaul = (...args: string[]): Promise<Ran> =>
  longhaulWith(join(dir, 'home'), args, { databaseUrl: database.url, temporalAddress: inject('temporalAddress') });

async function addProject(name: string, path: string): Promise<string> {
  const [row] = await sql<{ id: string }[]>`INSERT INTO projects (name, path) VALUES (${name}, ${path}) RETURNING id`;
  return row?.id ?? '';
}

interface NewTask {
  readonly id?: string;
  readonly input: string;
  readonly state?: string;
  readonly project?: string;
  readonly session?: string;
}

async function addTask({ id = randomUUID(), input, state = 'completed', project, session }: NewTask): Promise<TaskId> {
  await sql`INSERT INTO tasks (id, input, agent, state, project_id, session_id)
            VALUES (${id}, ${input}, 'demo', ${state}, ${project ?? null}, ${session ?? null})`;
  return id as TaskId;
}

async function addSession(name: string, project?: string): Promise<SessionId> {
  const id = randomUUID() as SessionId;
  await sql`INSERT INTO sessions (id, name, project_id) VALUES (${id}, ${name}, ${project ?? null})`;
  return id;
}

async function addChange(taskId: TaskId, state: string): Promise<string> {
  const [row] = await sql<{ id: string }[]>`
    INSERT INTO pending_changes (task_id, state, diff, result_commit) VALUES (${taskId}, ${state}, 'd', ${'c'.repeat(40)}) RETURNING id`;
  return row?.id ?? '';
}

/** What they were asked, as `ls` lists them. */
async function inputs(...args: string[]): Promise<string[]> {
  const { stdout, stderr } = await longhaul('ls', '--json', ...args);
  expect(stderr).toBe('');
  return (JSON.parse(stdout) as { input: string }[]).map(({ input }) => input);
}

test('ls finds tasks by project, text, state, session and the state of their change', async () => {
  const [one, other] = [await addProject('shop', shop), await addProject('other', '/nowhere/other')];
  const session = await addSession('s', one);
  const changed = await addTask({ input: 'Fix the Login form', project: one, session });
  await addChange(changed, 'pending');
  await addTask({ input: 'Update docs', project: one, state: 'failed' });
  await addTask({ input: 'fix elsewhere', project: other });
  expect(await inputs('--project', join(shop, 'src'))).toEqual(['Update docs', 'Fix the Login form']);
  expect(await inputs('--project', 'other')).toEqual(['fix elsewhere']);
  expect(await inputs('--search', 'FIX')).toEqual(['fix elsewhere', 'Fix the Login form']);
  expect(await inputs('--search', '100%')).toEqual([]);
  expect(await inputs('--search', 'fix', '--project', shop)).toEqual(['Fix the Login form']);
  expect(await inputs('--change', 'pending')).toEqual(['Fix the Login form']);
  expect(await inputs('--change', 'applied')).toEqual([]);
  expect(await inputs('--session', session.slice(0, 8))).toEqual(['Fix the Login form']);
  expect((await longhaul('ls')).stdout).toContain(session.slice(0, 8));
  expect(await longhaul('ls', '--project', 'nothing')).toMatchObject({
    code: 2,
    stderr: expect.stringContaining('There is no project nothing') as string,
  });
  await sql`DELETE FROM tasks`;
  await sql`DELETE FROM sessions`;
});

test('ls --sessions lists sessions by their newest task, and run takes the beginning of an id', async () => {
  const project = await addProject('listed', join(dir, 'listed'));
  const [older, newer] = [await addSession('older', project), await addSession('newer')];
  await addTask({ input: 'the first', session: newer });
  await addTask({ input: 'the second', session: older, state: 'failed', project });
  await addTask({ input: 'the last', session: newer });
  const { stdout } = await longhaul('ls', '--sessions');
  expect(stdout.split('\n').map((line) => line.split(/ {2,}/).filter((_, at) => at !== 5))).toEqual([
    ['SESSION', 'OPEN', 'TASKS', 'LAST', 'PROJECT', 'LAST INPUT'],
    [newer.slice(0, 8), '0', '2', 'completed', '-', 'the last'],
    [older.slice(0, 8), '0', '1', 'failed', 'listed', 'the second'],
    [''],
  ]);
  expect((await longhaul('ls', '--sessions', '--search', 'SECOND')).stdout).not.toContain(newer.slice(0, 8));
  await sql`INSERT INTO available_agents (name, supports_acp) VALUES ('mine', true)`;
  const ran = await longhaul('submit', '--project', shop, '--session', newer.slice(0, 6), 'go on');
  expect(ran.stderr).toBe('');
  expect(await sql`SELECT session_id, agent FROM tasks WHERE id = ${ran.stdout.trim()}`).toEqual([
    { session_id: newer, agent: 'demo' },
  ]);
  await sql`DELETE FROM available_agents WHERE name = 'mine'`;
  expect((await longhaul('submit', '--session', '00000000', 'x')).stderr).toContain('There is no session 00000000.');
  await sql`DELETE FROM tasks`;
  await sql`DELETE FROM sessions`;
});

test('the ids of a change and of a permission find their task; an ambiguous beginning is refused with the candidates', async () => {
  const taskId = await addTask({ input: 'has both' });
  const change = await addChange(taskId, 'pending');
  const permission = randomUUID();
  await sql`INSERT INTO permissions (id, task_id, session_id, options) VALUES (${permission}, ${taskId}, ${randomUUID()}, '[]')`;
  for (const id of [change.slice(0, 8), permission.slice(0, 8), permission]) {
    expect(JSON.parse((await longhaul('show', id, '--json')).stdout)).toMatchObject({ id: taskId });
  }
  const alike = ['1', '2'].map((end) => `fedcba98-0000-4000-8000-00000000000${end}`);
  for (const id of alike) await sql`INSERT INTO sessions (id, name) VALUES (${id}, ${`of ${id.slice(-1)}`})`;
  const { code, stderr } = await longhaul('submit', '--agent', 'demo', '--session', 'fedcba98', 'x');
  expect(code).toBe(2);
  for (const id of alike) expect(stderr).toContain(`\n  ${id}  of ${id.slice(-1)}`);
  expect((await longhaul('show', 'ffffffff')).stderr).toContain('There is no task ffffffff');
});

test('retry submits the same task, in its given session or in a new one', async () => {
  const project = await addProject('retried', shop);
  const session = await addSession('given', project);
  const given = await addTask({ input: 'again\nplease', project, session, state: 'failed' });
  await sql`UPDATE tasks SET model = 'm', mode_id = 'plan', thinking_option_id = 't', permission_policy = 'deny', priority = 2 WHERE id = ${given}`;
  const first = (await longhaul('retry', given.slice(0, 8))).stdout.trim();
  const same = {
    input: 'again\nplease',
    agent: 'demo',
    model: 'm',
    mode_id: 'plan',
    thinking_option_id: 't',
    priority: 2,
  };
  expect(await sql`SELECT * FROM tasks WHERE id = ${first}`).toMatchObject([
    { ...same, project_id: project, permission_policy: 'deny', session_id: session, state: 'pending' },
  ]);
  const ownId = randomUUID() as TaskId;
  await sql`INSERT INTO sessions (id) VALUES (${idOf(ownId, 'session')})`;
  await addTask({ id: ownId, input: 'alone', project, session: idOf(ownId, 'session') });
  const { id: second } = JSON.parse((await longhaul('retry', ownId, '--json')).stdout) as { id: string };
  expect(await sql`SELECT input, session_id FROM tasks WHERE id = ${second}`).toEqual([
    { input: 'alone', session_id: null },
  ]);
  expect(await longhaul('retry', second)).toMatchObject({
    code: 2,
    stderr: expect.stringContaining('is pending: only') as string,
  });
});

test('rm removes only what belongs to the task, never a running task, and asks first', async () => {
  const project = await addProject('removed', shop);
  const session = await addSession('two tasks', project);
  const [gone, stays] = [
    await addTask({ input: 'goes', session, project }),
    await addTask({ input: 'stays', session, project, state: 'running' }),
  ];
  await addChange(gone, 'pending');
  for (const taskId of [gone, stays]) {
    const chatId = idOf(taskId, 'chat');
    const messageId = idOf(taskId, 'assistant-message');
    await sql`INSERT INTO messages (id, session_id, chat_id, task_id, role, content, status)
              VALUES (${messageId}, ${session}, ${chatId}, ${taskId}, 'assistant', ${`of ${taskId}`}, 'complete')`;
    await append(sql, { sessionId: session, chatId, messageId, taskId }, [
      delta({ sessionId: session, chatId, messageId, taskId }, 'text'),
    ]);
  }
  const left = async (taskId: TaskId) =>
    sql`SELECT (SELECT count(*) FROM tasks WHERE id = ${taskId}) AS tasks, (SELECT count(*) FROM frames WHERE task_id = ${taskId}) AS frames,
               (SELECT count(*) FROM messages WHERE task_id = ${taskId}) AS messages, (SELECT count(*) FROM pending_changes WHERE task_id = ${taskId}) AS changes`;
  expect(await longhaul('rm', gone)).toMatchObject({
    code: 2,
    stderr: expect.stringContaining('longhaul rm --yes') as string,
  });
  expect(await longhaul('rm', stays, '--yes')).toMatchObject({
    code: 2,
    stderr: expect.stringContaining('is running: only') as string,
  });
  await sql`UPDATE tasks SET claimed_at = now() WHERE id = ${stays}`;
  expect((await longhaul('rm', gone, '--yes')).stderr).toContain('another task is at work');
  expect(await left(gone)).toEqual([{ tasks: 1, frames: 1, messages: 1, changes: 1 }]);
  await sql`UPDATE tasks SET state = 'completed' WHERE id = ${stays}`;
  const { code, stdout } = await longhaul('rm', gone.slice(0, 8), '--yes');
  expect(code).toBe(0);
  expect(stdout).toContain(`Its result stays in ${shop}: commit `);
  expect(stdout).toContain('`longhaul gc --refs 0` removes');
  expect(await left(gone)).toEqual([{ tasks: 0, frames: 0, messages: 0, changes: 0 }]);
  expect(await left(stays)).toEqual([{ tasks: 1, frames: 1, messages: 1, changes: 0 }]);
  // A reader that had nothing yet is given what is left, not a log with a hole.
  const frames = new FrameHub(sql);
  const { value: page } = await frames.follow({ sessionId: session, after: 0 }).next();
  expect(page).toMatchObject([{ type: 'snapshot', messages: [{ content: `of ${stays}` }] }]);
  await frames.close();
  await longhaul('rm', stays, '--yes', '--json');
  expect(
    await sql`SELECT FROM sessions WHERE id = ${session} UNION ALL SELECT FROM frames WHERE session_id = ${session}`,
  ).toEqual([]);
});

function follow(home: string): { child: ChildProcess; said: () => string } {
  const child = spawn(process.execPath, [builtCommand(), 'logs', 'worker', '-f', '-n', '1'], {
    env: { PATH: process.env['PATH'], LONGHAUL_HOME: home },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let said = '';
  child.stdout.on('data', (chunk: Buffer) => (said += chunk.toString()));
  return { child, said: () => said };
}

test('logs shows the last lines of a part, or of all, and follows one across rotation', async () => {
  const home = join(dir, 'logged');
  expect((await inHome(home, ['logs'])).stderr).toContain('There are no logs in');
  await mkdir(join(home, 'logs'), { recursive: true });
  const file = join(home, 'logs', 'worker.log');
  await writeFile(file, 'one\ntwo\nthree\n');
  await writeFile(join(home, 'logs', 'postgres.log'), 'ready\n');
  expect((await inHome(home, ['logs', 'worker', '-n', '2'])).stdout).toBe('two\nthree\n');
  expect((await inHome(home, ['logs'])).stdout).toMatch(
    /==> .*worker.log <==\none\ntwo\nthree\n\n==> .*postgres.log <==\nready/,
  );
  expect(await inHome(home, ['logs', 'backend'])).toMatchObject({
    code: 2,
    stderr: expect.stringContaining('The backend has no log') as string,
  });
  expect((await inHome(home, ['logs', 'frontend'])).stderr).toContain('part: expected one of supervisor, worker');
  const { child, said } = follow(home);
  await until('the last line', () => said() === 'three\n');
  await appendFile(file, 'four\n');
  await until('the next line', () => said().endsWith('four\n'));
  await rename(file, `${file}.1`);
  await writeFile(file, 'five\n');
  await until('a line of the new file', () => said().endsWith('five\n'));
  child.kill('SIGINT');
  expect(await once(child, 'exit')).toEqual([0, null]);
});
