import { mkdir, mkdtemp, realpath, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { onlyAgent } from '../../client/agents.ts';
import { cancel } from '../../client/cancel.ts';
import { retry } from '../../client/retry.ts';
import { submit } from '../../client/submit.ts';
import { followTask } from '../../client/follow-task.ts';
import { resolveTaskId, taskId } from '../../client/task-ids.ts';
import { describe as describeTask, getDiff, listTasks } from '../../client/tasks.ts';
import { FrameHub } from '../../frames/follow.ts';
import { takeSnapshot } from '../../frames/snapshot.ts';
import { rulesOfTask } from '../../store/permission-rules.ts';
import { claimTasks } from '../../store/queue.ts';
import type { Sql } from '../../store/sql.ts';
import type { SessionId, TaskId } from '../../contract/ids.ts';
import { ruleText } from '../../contract/permission-rules.ts';
import { freshDatabase, type LabDatabase } from '../lab/database.ts';

let database: LabDatabase;
let sql: Sql;
let dir: string;
let repository: string;
beforeAll(async () => {
  database = await freshDatabase();
  ({ sql } = database);
  dir = await realpath(await mkdtemp(join(tmpdir(), 'longhaul-submit-')));
  repository = join(dir, 'my repo');
  await mkdir(join(repository, '.git'), { recursive: true });
  await writeFile(join(repository, '.git', 'HEAD'), 'ref: refs/heads/main\n');
  await mkdir(join(repository, 'src', 'deep'), { recursive: true });
  await mkdir(join(dir, 'plain'));
  await writeFile(join(dir, 'file'), '');
  await symlink(repository, join(dir, 'link'));
  await sql`INSERT INTO available_agents (name, supports_acp) VALUES ('demo', true), ('claude', true)`;
});
afterAll(async () => {
  await database.drop();
  await rm(dir, { recursive: true, force: true });
});

const submitHere = (more: object = {}) =>
  submit({ sql }, { projectPath: repository, input: 'do it', agent: 'demo', ...more });

test('a folder, a subfolder and a link to the repository are one project, also in concurrent requests', async () => {
  const paths = [repository, join(repository, 'src', 'deep'), join(dir, 'link', 'src')];
  const tasks = await Promise.all([...paths, ...paths].map((projectPath) => submitHere({ projectPath })));
  expect(new Set(tasks.map((task) => task.projectId)).size).toBe(1);
  expect(await sql`SELECT name, path FROM projects`).toEqual([{ name: 'my repo', path: repository }]);
});

test("the rules of a submission are the task's, in their order, and a retry has them, too", async () => {
  const rules = [
    { effect: 'deny', path_glob: 'secrets/**' },
    { effect: 'allow', tool_kind: 'edit' },
    { effect: 'ask', command_pattern: 'npm *' },
  ] as const;
  const shown = (taskId: TaskId) =>
    rulesOfTask(sql, taskId).then((all) => all.map((rule) => `${rule.scope} ${ruleText(rule)}`));
  const expected = ['task deny path secrets/**', 'task allow tool edit', 'task ask command npm *'];
  const { taskId } = await submitHere({ rules });
  expect(await shown(taskId)).toEqual(expected);
  await sql`UPDATE tasks SET state = 'failed', claimed_at = now(), ended_at = now() WHERE id = ${taskId}`;
  expect(await shown((await retry({ sql }, taskId)).taskId)).toEqual(expected);
});

test.each([
  ['an empty input', { input: ' \n' }, 'invalid_input', /input is empty/],
  ['a relative path', { projectPath: 'here' }, 'invalid_input', /expected an absolute path, found "here"/],
  ['a missing path', { projectPath: '/nonexistent/x' }, 'project_missing', /does not exist/],
  ['an unknown agent', { agent: 'gpt' }, 'agent_unknown', /no agent "gpt". Listed: claude, demo/],
  ['a timeout of no time', { permissionTimeoutS: 0 }, 'invalid_input', /permission_timeout_s/],
  ['a timeout without the policy ask', { permissionTimeoutS: 5 }, 'invalid_input', /^permission_timeout_s: expected permission_policy "ask" with it, found no permission_policy/], // prettier-ignore
  ['a default answer with another policy', { permissionPolicy: 'deny', permissionDefault: 'allow' }, 'invalid_input', /^permission_default: expected permission_policy "ask" with it, found "deny"/], // prettier-ignore
  ['an unknown default answer', { permissionDefault: 'ask' }, 'invalid_input', /permission_default/],
  [
    'another policy',
    { permissionPolicy: 'maybe' },
    'invalid_input',
    /expected "allow", "deny" or "ask", found "maybe"/,
  ],
  ['a rule that matches everything', { rules: [{ effect: 'allow' }] }, 'invalid_input', /^rule: expected a tool_kind/],
  ['a rule outside the worktree', { rules: [{ effect: 'allow', tool_kind: 'edit' }, { effect: 'allow', path_glob: '/etc/*' }] }, 'invalid_input', /^path_glob: /], // prettier-ignore
  ['an empty model', { model: '' }, 'invalid_input', /^model: expected a value, found an empty text/],
  ['an empty mode', { modeId: ' ' }, 'invalid_input', /^mode_id: expected a value/],
  ['a priority out of range', { priority: 9 }, 'invalid_input', /from 1 \(first\) to 5, found 9/],
  ['an unknown session', { sessionId: randomUUID() }, 'session_not_found', /no session/],
  ['a chat without a session', { chatId: randomUUID() }, 'invalid_input', /needs the session_id/],
  ['an unknown project', { projectPath: undefined, projectId: randomUUID() }, 'project_not_found', /no project/],
  ['no place at all', { projectPath: undefined }, 'invalid_input', /Neither a project nor a session is given/],
])('%s is refused before a row is inserted', async (_name, more, code, message) => {
  const before = await sql`SELECT FROM tasks`;
  const failure = await submitHere(more).catch((error: unknown) => error);
  expect(failure).toMatchObject({ code, message: expect.stringMatching(message) as string });
  expect(await sql`SELECT FROM tasks`).toHaveLength(before.length);
});

test('a file, a folder without a repository and one outside the allowed roots are refused', async () => {
  await expect(submitHere({ projectPath: join(dir, 'file') })).rejects.toThrow(/expected a directory, found a file/);
  await expect(submitHere({ projectPath: join(dir, 'plain') })).rejects.toMatchObject({ code: 'not_a_repository' });
  const deps = { sql, projectRoots: [join(dir, 'plain')] };
  await expect(submit(deps, { projectPath: repository, input: 'x', agent: 'demo' })).rejects.toThrow(
    /LONGHAUL_PROJECT_ROOTS/,
  );
});

test('text that Postgres would refuse is repaired when it is inserted', async () => {
  const { taskId } = await submitHere({ input: 'a\0b\ud800' });
  expect((await describeTask({ sql }, taskId)).input).toBe('a\ufffdb\ufffd');
});

test('in a session the user message is inserted with the task, and two concurrent submissions share one chat', async () => {
  const { projectId } = await submitHere();
  const [session] = await sql<
    { id: SessionId }[]
  >`INSERT INTO sessions (project_id, name) VALUES (${projectId}, 's') RETURNING id`;
  if (!session) throw new Error('no session');
  const long = 'y'.repeat(200_000);
  const inputs = ['first', long];
  await Promise.all(inputs.map((input) => submit({ sql }, { sessionId: session.id, input, agent: 'demo' })));
  expect(await sql`SELECT name FROM chats WHERE session_id = ${session.id}`).toEqual([
    { name: 'External agent execution' },
  ]);
  const snapshot = await takeSnapshot(sql, session.id);
  expect(snapshot?.messages.map((message) => message.content).sort()).toEqual(inputs.sort());
  expect(snapshot).toMatchObject({ seq: 2, tasks: [{ state: 'pending' }, { state: 'pending' }] });
});

test("a session continues with the agent of its newest task; the refusal of another project names the session's path", async () => {
  const [session] = await sql<{ id: SessionId }[]>`INSERT INTO sessions (name) VALUES ('agents') RETURNING id`;
  const sessionId = session?.id ?? '';
  const { projectId } = await submitHere({ sessionId, agent: 'claude' });
  await sql`UPDATE sessions SET project_id = ${projectId} WHERE id = ${sessionId}`;
  const { taskId } = await submit({ sql }, { sessionId, input: 'and the docs' });
  expect((await describeTask({ sql }, taskId)).agent).toBe('claude');
  await expect(submit({ sql }, { sessionId: randomUUID(), input: 'x' })).rejects.toThrow(/no session/);
  const elsewhere = join(dir, 'elsewhere');
  await mkdir(join(elsewhere, '.git'), { recursive: true });
  await writeFile(join(elsewhere, '.git', 'HEAD'), 'ref: refs/heads/main\n');
  await expect(submitHere({ sessionId, projectPath: elsewhere })).rejects.toThrow(
    `belongs to the project ${repository}, the task to ${elsewhere}`,
  );
});

test('a task is found by any unique beginning of its id', async () => {
  const { taskId } = await submitHere();
  expect(await resolveTaskId(sql, taskId.toUpperCase())).toBe(taskId);
  expect(await resolveTaskId(sql, taskId.slice(0, 12))).toBe(taskId);
  const { projectId } = await submitHere();
  for (const end of ['1', '2']) {
    await sql`INSERT INTO tasks (id, project_id, input) VALUES (${`abcdef00-0000-4000-8000-00000000000${end}`}, ${projectId}, 'x')`;
  }
  await expect(resolveTaskId(sql, 'abcd')).rejects.toThrow(
    /^Several tasks begin with abcd: write more of the id\.\n {2}abcdef00-\S+ {2}pending · x\n {2}abcdef00-/,
  );
  await expect(resolveTaskId(sql, 'abc')).rejects.toThrow(/at least 4 characters/);
  await expect(resolveTaskId(sql, 'xyz%')).rejects.toThrow(/expected a uuid/);
  await expect(resolveTaskId(sql, randomUUID())).rejects.toMatchObject({ code: 'task_not_found' });
});

test('a text is parsed as a task id or refused with the expected form, in every call that names a task', async () => {
  const { taskId: id } = await submitHere();
  expect(await describeTask({ sql }, taskId(id.toUpperCase()))).toMatchObject({ id });
  expect(() => taskId('1a2b')).toThrow('task id: expected a uuid, found "1a2b".');
  const bad = 'task-7' as TaskId;
  const frames = new FrameHub(sql);
  const asked = [
    describeTask({ sql }, bad),
    getDiff({ sql }, bad),
    cancel({ sql }, bad),
    followTask({ sql, frames }, { taskId: bad }).next(),
  ];
  for (const one of asked) await expect(one).rejects.toMatchObject({ code: 'invalid_input' });
  await frames.close();
});

test('a task that has not started is cancelled at once, and a second cancel changes nothing', async () => {
  const { taskId } = await submitHere();
  expect(await cancel({ sql }, taskId, 'wrong')).toEqual({ kind: 'cancelled' });
  const task = await describeTask({ sql }, taskId);
  expect(task).toMatchObject({
    state: 'cancelled',
    output_summary: 'Cancelled before it started: wrong',
    error_code: null,
  });
  expect(task.ended_at).not.toBeNull();
  expect(await cancel({ sql }, taskId, 'other')).toEqual({ kind: 'already_ended', state: 'cancelled' });
  expect(await describeTask({ sql }, taskId)).toEqual(task);
  await expect(cancel({ sql }, randomUUID() as TaskId)).rejects.toMatchObject({ code: 'task_not_found' });
});

test('of a concurrent cancel and claim exactly one succeeds', async () => {
  const tasks = await Promise.all(Array.from({ length: 20 }, () => submitHere()));
  const cancels = Promise.all(tasks.map(({ taskId }) => cancel({ sql }, taskId)));
  const claims = await Promise.all(Array.from({ length: 10 }, () => claimTasks(sql, 4)));
  const outcomes = await cancels;
  const claimed = new Set(claims.flat().map((task) => task.id));
  tasks.forEach(({ taskId }, index) => {
    expect(outcomes[index]?.kind).toBe(claimed.has(taskId) ? 'recorded' : 'cancelled');
  });
});

test('lists are newest first, by state, with links to the Web UI; a diff exists or not', async () => {
  const { taskId } = await submitHere();
  await sql`INSERT INTO pending_changes (task_id, diff, files, additions, deletions) VALUES (${taskId}, 'the diff', '[{}]', 1, 0)`;
  const deps = { sql, temporalUiUrl: 'http://ui/' };
  const [first] = await listTasks(deps, { limit: 1, states: ['pending'] });
  expect(first).toMatchObject({
    id: taskId,
    project_path: repository,
    change: { additions: 1, files: [{}] },
    workflow_url: `http://ui/namespaces/default/workflows/task-${taskId}`,
  });
  expect(await getDiff(deps, taskId)).toMatchObject({ diff: 'the diff' });
  expect(await getDiff(deps, (await submitHere()).taskId)).toBeUndefined();
});

test('an ended task says until when Temporal keeps its history, and links to it until then', async () => {
  const ended = async (at: string): Promise<object> => {
    const { taskId } = await submitHere();
    await sql`UPDATE tasks SET state = 'completed', ended_at = ${at}::text::timestamptz WHERE id = ${taskId}`;
    return describeTask({ sql, temporalUiUrl: 'http://ui/', historyRetentionDays: 7 }, taskId);
  };
  const linked = expect.stringContaining('/workflows/') as string;
  expect(await ended('2020-01-01T00:00:00Z')).toMatchObject({ workflow_url: null, history_kept_until: '2020-01-08T00:00:00.000Z' }); // prettier-ignore
  expect(await ended('2999-01-01T00:00:00Z')).toMatchObject({ workflow_url: linked, history_kept_until: '2999-01-08T00:00:00.000Z' }); // prettier-ignore
  expect(await ended('infinity')).toMatchObject({ history_kept_until: null });
  const { taskId } = await submitHere();
  expect(await describeTask({ sql, historyRetentionDays: 7 }, taskId)).toMatchObject({ history_kept_until: null });
});

test('a task that names no agent uses the native one, also in a project without a path', async () => {
  const { taskId } = await submitHere({ agent: undefined });
  expect(await describeTask({ sql }, taskId)).toMatchObject({ agent: null });
  const [project] = await sql<{ id: string }[]>`INSERT INTO projects (name) VALUES ('nowhere') RETURNING id`;
  const nowhere = { input: 'What is a fence?', projectId: project?.id ?? '' };
  await submit({ sql }, nowhere);
  await expect(submit({ sql }, { ...nowhere, agent: 'claude' })).rejects.toMatchObject({ code: 'project_has_no_path' });
});

test('the demo agent is never chosen by itself', async () => {
  const [without, native] = [
    { isConfigured: false, text: 'Set DEFAULT_MODEL' },
    { isConfigured: true, text: 'local/qwen3' },
  ];
  expect(await onlyAgent(sql, without)).toBe('claude');
  expect(await onlyAgent(sql, native)).toBe('claude');
  await sql`INSERT INTO available_agents (name, supports_acp) VALUES ('gemini', true)`;
  await expect(onlyAgent(sql, native)).rejects.toThrow(
    'Say which agent is to work: --agent claude, --agent demo, --agent gemini, --agent native (local/qwen3).',
  );
  await expect(onlyAgent(sql, without)).rejects.toThrow('The native agent has no model: Set DEFAULT_MODEL.');
  await sql`DELETE FROM available_agents WHERE name <> 'demo'`;
  await expect(onlyAgent(sql, without)).rejects.toThrow('--agent demo');
  expect(await onlyAgent(sql, native)).toBeUndefined();
});

test('a task can name the native agent', async () => {
  const { taskId } = await submitHere({ agent: 'native' });
  expect(await describeTask({ sql }, taskId)).toMatchObject({ agent: null });
});
