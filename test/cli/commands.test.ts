import { type ChildProcess, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, inject, test } from 'vitest';
import type { Sql } from '../../store/sql.ts';
import type { TaskId } from '../../contract/ids.ts';
import { builtModule } from '../lab/built.ts';
import { freshDatabase, type LabDatabase } from '../lab/database.ts';
import { blockedBackend, hold, until } from '../lab/until.ts';
import { append, delta, labSession, type LabMessage } from '../lab/log.ts';

let database: LabDatabase;
let sql: Sql;
let dir: string;
beforeAll(async () => {
  database = await freshDatabase();
  ({ sql } = database);
  dir = await mkdtemp(join(tmpdir(), 'longhaul-cli-'));
  await mkdir(join(dir, 'repo', '.git'), { recursive: true });
  await writeFile(join(dir, 'repo', '.git', 'HEAD'), 'ref: refs/heads/main\n');
  await sql`INSERT INTO available_agents (name, supports_acp) VALUES ('demo', true)`;
});
afterAll(async () => {
  await database.drop();
  await rm(dir, { recursive: true, force: true });
});

interface Result {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

function start(args: readonly string[], env: NodeJS.ProcessEnv = {}): { child: ChildProcess; result: Promise<Result> } {
  const child = spawn(process.execPath, [builtModule('cli/main'), ...args], {
    cwd: join(dir, 'repo'),
    env: {
      PATH: process.env['PATH'],
      LONGHAUL_HOME: join(dir, 'home'),
      DATABASE_URL: database.url,
      TEMPORAL_ADDRESS: inject('temporalAddress'),
      TEMPORAL_CONFIG_FILE: '/dev/null',
      ...env,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let out = '';
  let err = '';
  child.stdout.on('data', (chunk: Buffer) => (out += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (err += chunk.toString()));
  const result = once(child, 'close').then(([code]) => ({ code: code as number | null, out, err }));
  return { child, result };
}

const longhaul = (...args: string[]): Promise<Result> => start(args).result;

async function newTask(input: string): Promise<TaskId> {
  const find = () => sql<{ id: TaskId }[]>`SELECT id FROM tasks WHERE input = ${input}`;
  await expect.poll(find).toHaveLength(1);
  const [task] = await find();
  if (!task) throw new Error('no task');
  return task.id;
}

/** What the steps of a workflow would write. */
async function open(taskId: TaskId): Promise<LabMessage> {
  const message = { ...(await labSession(sql)), taskId };
  await sql`UPDATE tasks SET session_id = ${message.sessionId}, state = 'running' WHERE id = ${taskId}`;
  await append(sql, message, [delta(message, 'Hello\n')]);
  return message;
}

async function end(message: LabMessage, state: 'completed' | 'failed' | 'cancelled'): Promise<void> {
  await sql`UPDATE tasks SET state = ${state}, ended_at = now(), output_summary = 'said why' WHERE id = ${message.taskId}`;
  await append(sql, message, [{ type: 'task_state', state, phase: state }]);
}

test.each([
  ['completed', 0, /✓ completed/],
  ['failed', 1, /✗ failed.*\n {2}said why/],
  ['cancelled', 3, /■ cancelled/],
] as const)('run follows a task that is %s and exits with %d', async (state, code, said) => {
  const run = start(['run', '--agent', 'demo', `please be ${state}`]);
  await end(await open(await newTask(`please be ${state}`)), state);
  const result = await run.result;
  expect(result).toMatchObject({ code, err: '' });
  expect(result.out).toMatch(/^task [0-9a-f]{8} demo · .*repo( · session [0-9a-f]{8})?\nHello\n/);
  expect(result.out).toMatch(said);
});

test('Ctrl-C detaches with exit code 0; the task continues, and the command prints how to stop it', async () => {
  const run = start(['run', '--agent', 'demo', 'wait for me']);
  const taskId = await newTask('wait for me');
  await open(taskId);
  await new Promise<void>((resolve) => {
    run.child.stdout?.on('data', (chunk: Buffer) => chunk.includes('Hello') && resolve());
  });
  run.child.kill('SIGINT');
  const { code, out } = await run.result;
  expect(code).toBe(0);
  expect(out).toContain(`longhaul cancel ${taskId.slice(0, 8)}`);
  expect(await sql`SELECT state, cancel_requested_at FROM tasks WHERE id = ${taskId}`).toEqual([
    { state: 'running', cancel_requested_at: null },
  ]);
});

test.each([[[]], [['--json']]])(
  'SIGTERM before anything is printed detaches like Ctrl-C: run %j',
  async (more: string[]) => {
    const input = `wait for me ${randomUUID()}`;
    // The insert waits for this lock, so the signal comes while the command submits the task.
    const lock = await hold(sql, (tx) => tx`LOCK TABLE tasks IN EXCLUSIVE MODE`);
    const run = start(['run', '--agent', 'demo', ...more, input]);
    await blockedBackend(sql, 'longhaul command');
    run.child.kill('SIGTERM');
    await lock.release();
    const { code, out, err } = await run.result;
    const taskId = await newTask(input);
    expect({ code, said: out + err }).toMatchObject({
      code: 0,
      said: expect.stringContaining(`longhaul watch ${taskId.slice(0, 8)}`) as string,
    });
    expect(await sql`SELECT state, cancel_requested_at FROM tasks WHERE id = ${taskId}`).toEqual([
      { state: 'pending', cancel_requested_at: null },
    ]);
  },
);

test('run whose reader leaves exits as after SIGPIPE, and reports that the task continues', async () => {
  const run = start(['run', '--agent', 'demo', 'read one line']);
  run.child.stdout?.once('data', () => run.child.stdout?.destroy());
  const taskId = await newTask('read one line');
  const message = await open(taskId);
  await until('the command to end', async () => {
    if (run.child.exitCode === null) await append(sql, message, [delta(message, 'more\n')]);
    return run.child.exitCode !== null;
  });
  const id = taskId.slice(0, 8);
  const err = `longhaul: the reader of the output has closed the pipe; task ${id} continues: longhaul watch ${id}\n`;
  expect(await run.result).toMatchObject({ code: 141, err });
  expect(await sql`SELECT state FROM tasks WHERE id = ${taskId}`).toEqual([{ state: 'running' }]);
});

test.each([['doctor'], ['completion', 'bash'], ['run', '--help'], ['ls', '--json']])(
  'a reader that leaves at once is no error of longhaul %s',
  async (...words) => {
    const { child, result } = start(words);
    child.stdout?.destroy();
    expect(await result).toMatchObject({ code: 141, err: '' });
  },
);

test.each([
  [['- fix the list'], '- fix the list'],
  [['-V is', '-h and', '--json is text'], '-V is -h and --json is text'],
  [['--', '-x'], '-x'],
  [['-- two'], '-- two'],
  [['so', '--priority', '2', '-x is wrong', '--model', '- odd', 'here'], 'so -x is wrong here'],
])('the words %j are a task text, although they begin with a dash', async (words, input) => {
  const { out, err } = await longhaul('submit', '--agent', 'demo', ...words);
  // No probe has run, so that a model of any name is accepted.
  expect(err.replace(/^note: Accepted without a check: model "- odd".*\n/, '')).toBe('');
  expect(await sql`SELECT input FROM tasks WHERE id = ${out.trim()}`).toEqual([{ input }]);
});

test('watch --json prints one frame a line and survives a reader that leaves', async () => {
  const watch = start(['submit', '--agent', 'demo', 'as json']);
  const taskId = await newTask('as json');
  expect((await watch.result).out.trim()).toBe(taskId);
  await end(await open(taskId), 'completed');
  const { code, out } = await longhaul('watch', taskId.slice(0, 8), '--json');
  const types = out
    .trim()
    .split('\n')
    .map((line) => (JSON.parse(line) as { type: string }).type);
  expect({ code, types }).toEqual({ code: 0, types: ['delta', 'task_state'] });
  const leaving = start(['watch', taskId, '--json']);
  leaving.child.stdout?.destroy();
  expect((await leaving.result).err).toBe('');
});

test('a task can be submitted, listed, shown, cancelled twice, and has no diff', async () => {
  const submitted = await longhaul(
    'submit',
    '--agent',
    'demo',
    '--priority',
    '2',
    '--policy',
    'deny',
    'tidy',
    'up',
    '--json',
  );
  const task = JSON.parse(submitted.out) as { id: string };
  expect(task).toMatchObject({ input: 'tidy up', priority: 2, permission_policy: 'deny', state: 'pending' });
  const [listed] = JSON.parse((await longhaul('ls', '--limit', '1', '--json')).out) as unknown[];
  expect(listed).toMatchObject({ id: task.id });
  expect((await longhaul('show', task.id.slice(0, 8))).out).toContain('state     pending, queued');
  const cancelled = await longhaul('cancel', task.id, '--reason', 'no need', '--json');
  expect(JSON.parse(cancelled.out)).toEqual({ task_id: task.id, kind: 'cancelled' });
  expect((await longhaul('cancel', task.id)).out).toContain('is already cancelled');
  expect((await longhaul('show', task.id)).out).toMatch(/^cancel +requested at [-\d]{10} [\d:]{8}: no need$/m);
  const diff = await longhaul('diff', task.id);
  expect(diff).toMatchObject({ code: 0, out: '', err: expect.stringContaining('left no change') as string });
  expect((await longhaul('watch', task.id)).code).toBe(3);
});

test('a task that continued after crashes is shown with its attempts, and as stopping once a cancel is requested', async () => {
  const [task] = await sql<{ id: TaskId }[]>`
    INSERT INTO tasks (input, agent, state, phase, waits_until, claimed_at, run_id)
    VALUES ('survive', 'demo', 'running', 'working', now() + interval '50 min', now(), 'r') RETURNING id`;
  const id = task?.id ?? '';
  const attempt = (number: number, more: Record<string, unknown>) => sql`
    INSERT INTO attempts ${sql({ task_id: id, attempt: number, host: 'h', run_id: 'r', token: randomUUID(), boot_id: 'b', worker_pid: 7, worker_start: '1', ...more })}`;
  const ended = new Date('2030-01-02T15:04:05.678Z');
  await attempt(1, { ended_at: ended });
  expect((await longhaul('show', id)).out).not.toContain('attempts');
  await attempt(2, { ended_at: ended, error_code: 'agent_crashed', spawned_at: ended });
  await attempt(3, { ended_at: ended, outcome: sql.json({ kind: 'waiting' }) });
  await attempt(4, { ended_at: ended, pid: 9, pid_start: '3' });
  await attempt(5, { pid: 9, pid_start: '3' });
  const { out } = await longhaul('show', id);
  expect(out).toContain(
    'attempts  5 (1: the worker was stopped or lost; 2: the agent crashed; 3: the limit was lifted; 4: its heartbeat reached Temporal too late, its agent continued)',
  );
  expect(out).toContain('state     running, working');
  expect(out).toMatch(/waits +until \d{4}-\d\d-\d\d \d\d:\d\d:\d\d, \d\d min \d+ s left/);
  expect(out).toMatch(/^created +\d{4}-\d\d-\d\d \d\d:\d\d:\d\d$/m);
  const shown = JSON.parse((await longhaul('show', id, '--json')).out) as { attempts: unknown[] };
  expect(shown.attempts).toHaveLength(5);
  expect(shown.attempts[1]).toEqual({
    number: 2,
    worker_pid: 7,
    spawned_at: ended.toISOString(),
    ended_at: ended.toISOString(),
    error_code: 'agent_crashed',
  });
  await sql`UPDATE tasks SET cancel_requested_at = now() WHERE id = ${id}`;
  expect((await longhaul('show', id)).out).toContain('state     running, stopping');
});

test('cancelled while Temporal is unavailable, each task gets the message for its state', async () => {
  const away = { TEMPORAL_ADDRESS: '127.0.0.1:1' };
  const cancelled = async (input: string, row: { claimed?: boolean; run?: string; ends?: boolean }) => {
    const [task] = await sql<{ id: TaskId }[]>`
      INSERT INTO tasks (input, agent, state, claimed_at, run_id)
      VALUES (${input}, 'demo', ${row.run ? 'running' : 'pending'}, ${row.claimed ? sql`now()` : null}, ${row.run ?? null})
      RETURNING id`;
    const id = task?.id ?? '';
    // As the backend does whose start has failed: the caller that requested the cancel reads the row after that.
    if (row.ends)
      await sql`
        CREATE TRIGGER ends AFTER UPDATE OF cancel_requested_at ON tasks FOR EACH ROW WHEN (NEW.state = 'pending') EXECUTE FUNCTION ends()`;
    const { code, out } = await start(['cancel', id], away).result;
    if (row.ends) await sql`DROP TRIGGER ends ON tasks`;
    return { code, out: out.trim().replaceAll(id.slice(0, 8), 'ID') };
  };
  await sql`
    CREATE FUNCTION ends() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN UPDATE tasks SET state = 'cancelled', ended_at = now() WHERE id = NEW.id; RETURN NULL; END $$`;
  expect(await cancelled('waits', {})).toEqual({ code: 0, out: 'task ID is cancelled; it had not started' });
  expect(await cancelled('about to start', { claimed: true })).toEqual({
    code: 0,
    out: 'the cancel request is stored; task ID has not started, and no agent will start for it',
  });
  expect(await cancelled('not started after all', { claimed: true, ends: true })).toEqual({
    code: 0,
    out: 'task ID is cancelled; it had not started',
  });
  expect(await cancelled('at work', { claimed: true, run: 'a-run' })).toEqual({
    code: 0,
    out: 'the cancel request is stored; it reaches task ID as soon as Temporal responds',
  });
});

test.each([
  ['an unknown command', ['fly']],
  ['an unknown option', ['ls', '--fast']],
  ['a missing argument', ['run']],
  ['a limit that is no number', ['ls', '--limit', 'many']],
  ['an empty input', ['submit', '--agent', 'demo', ' ']],
  ['no agent to choose', ['submit', 'x']],
  ['an unknown agent', ['submit', '--agent', 'nobody', 'x']],
  ['an unknown policy', ['submit', '--agent', 'demo', '--policy', 'maybe', 'x']],
  ['a timeout of no time', ['submit', '--agent', 'demo', '--policy', 'ask', '--ask-timeout', '0', 'x']],
  ['a timeout without the policy ask', ['submit', '--agent', 'demo', '--ask-timeout', '5', 'x']],
  [
    'a default answer with another policy',
    ['run', '--agent', 'demo', '--policy', 'deny', '--ask-default', 'deny', 'x'],
  ],
  ['an unknown task', ['show', 'ffffffff']],
  ['a folder that is no repository', ['submit', '--agent', 'demo', '--project', '/', 'x']],
])('%s is wrong usage: exit 2 and a line on stderr', async (_name, args) => {
  const { code, out, err } = await longhaul(...args);
  expect({ code, out }).toEqual({ code: 2, out: '' });
  expect(err).not.toMatch(/\n\s+at /);
});

test('missing services are exit code 4, and the message says how to start them', async () => {
  const none = await start(['ls'], { DATABASE_URL: '' }).result;
  expect(none).toMatchObject({ code: 4, err: expect.stringContaining('longhaul up -d') as string });
  const away = await start(['ls', '--json'], { DATABASE_URL: 'postgres://u:p@127.0.0.1:9/x' }).result;
  expect(away.code).toBe(4);
  expect(JSON.parse(away.err)).toMatchObject({ error_code: 'service_unreachable' });
});
