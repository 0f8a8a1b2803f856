import { rm } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { ProjectId, TaskId } from '../../contract/ids.ts';
import type { TaskStatus } from '../../contract/task.ts';
import { taskWorkflowId } from '../../contract/names.ts';
import { type Lab, startLab } from '../lab/lab.ts';
import { isWaiting, streamedText } from '../lab/observer.ts';

let lab: Lab;
beforeAll(async () => {
  lab = await startLab({ repository: 'project with spaces ünïcode' });
  await lab.startWorker();
});
afterAll(() => lab.close());

/** Of the task's attempts, in order. */
async function agentSessions(task: TaskId): Promise<(string | null)[]> {
  const rows = await lab.sql<{ agent_session_id: string | null }[]>`
    SELECT agent_session_id FROM attempts WHERE task_id = ${task} ORDER BY attempt`;
  return rows.map((row) => row.agent_session_id);
}

async function answerOf(task: TaskId): Promise<string | undefined> {
  const messages = await lab.messages(task);
  return messages.find(({ role }) => role === 'assistant')?.content;
}

async function warnings(task: TaskId): Promise<unknown[]> {
  const frames = await lab.frames(task);
  return frames.filter(({ type }) => type === 'warning').map(({ body }) => body['message']);
}

test("an inserted row becomes a change with the agent's edits", async () => {
  const before = await lab.repository.fingerprint();
  const task = await lab.submit({ input: 'think. write notes/hello.txt with Hello there. say all written' });
  const ended = await lab.ended(task);

  expect(ended).toMatchObject({ state: 'completed', error_code: null, kept_worktree: null });
  expect(ended.output_summary).toContain('all written');
  const changes = await lab.changes(task);
  expect(changes).toMatchObject([{ operation: 'edit', file_path: lab.repository.path, partial: false }]);
  expect(changes[0]?.diff).toContain('+Hello there');
  expect(await lab.inChange(task, 'notes/hello.txt')).toBe('Hello there');
  const [user, assistant] = await lab.messages(task);
  expect(user).toMatchObject({ role: 'user', status: 'complete' });
  expect(assistant).toMatchObject({ role: 'assistant', status: 'complete' });
  expect(assistant?.content).toBe(streamedText(await lab.frames(task)));
  expect(await lab.leftovers(task)).toEqual([]);
  expect(await lab.repository.fingerprint()).toEqual(before);
});

test('a task that changes nothing queues no change', async () => {
  const task = await lab.submit({ input: 'say nothing to do' });
  expect(await lab.ended(task)).toMatchObject({ state: 'completed' });
  expect(await lab.changes(task)).toEqual([]);
  expect(await lab.leftovers(task)).toEqual([]);
});

test('tasks of a session run one after another, each from the result of the previous one', async () => {
  const first = await lab.submit({ input: 'write one.txt with one. say the first is done' });
  const sessionId = (await lab.ended(first)).session_id ?? '';
  const second = await lab.submit({ input: 'append two to one.txt. say the second is done', sessionId });
  const third = await lab.submit({ input: 'append three to one.txt', sessionId });
  const [two, three] = [await lab.ended(second), await lab.ended(third)];

  expect(three.started_at?.getTime()).toBeGreaterThanOrEqual(two.ended_at?.getTime() ?? Infinity);
  const content = await lab.inChange(third, 'one.txt');
  expect(content).toMatch(/one[^]*two[^]*three/);
  expect(two.worktree_path).toBe(three.worktree_path);
  const [agentSession] = await agentSessions(first);
  expect(agentSession).toEqual(expect.any(String));
  expect([await agentSessions(second), await agentSessions(third)]).toEqual([[agentSession], [agentSession]]);
  const said = await answerOf(second);
  expect(said).toContain('the second is done');
  expect(said).not.toContain('the first is done');
  expect(await warnings(third)).toEqual([]);
  expect(await lab.leftovers(third)).toEqual([]);
});

test("a session's task whose agent has lost the conversation begins a new one, with a warning", async () => {
  const first = await lab.submit({ input: 'write one.txt with one' });
  const sessionId = (await lab.ended(first)).session_id ?? '';
  await rm(path.join(lab.home, 'agent-state', 'longhaul-demo-agent'), { recursive: true });
  const second = await lab.submit({ input: 'append two to one.txt', sessionId });

  expect(await lab.ended(second)).toMatchObject({ state: 'completed', error_code: null });
  expect(await lab.inChange(second, 'one.txt')).toMatch(/one[^]*two/);
  const [before, after] = [await agentSessions(first), await agentSessions(second)];
  expect(after).toEqual([expect.any(String)]);
  expect(after).not.toEqual(before);
  const warning =
    "demo could not continue the session's earlier conversation: it starts a new one and knows the files only.";
  expect(await warnings(second)).toEqual([warning]);
  expect(await lab.leftovers(second)).toEqual([]);
});

test('history has the same size for a kilobyte and for ten megabytes of output', async () => {
  const small = await lab.submit({ input: 'say hello. write a.txt with a' });
  const large = await lab.submit({ input: 'flood 10 MB. write a.txt with a' });
  await lab.ended(small);
  const ended = await lab.ended(large);

  expect(ended.state).toBe('completed');
  const [few, many] = [await lab.historyLength(small), await lab.historyLength(large)];
  expect(few).toBeLessThanOrEqual(80);
  expect(many).toBeLessThanOrEqual(80);
  const [, assistant] = await lab.messages(large);
  expect(assistant?.content).toHaveLength(50_000);
  const warnings = (await lab.frames(large)).filter((frame) => frame.type === 'warning');
  // Where the message ends, and where the stream does.
  expect(warnings).toHaveLength(2);
  expect(await lab.leftovers(large)).toEqual([]);
});

test('a malformed signal is ignored and does not affect the run', async () => {
  const gate = lab.gate();
  const task = await lab.submit({ input: `write one.txt with one. run cat ${gate.path}. write two.txt with two` });
  await lab.untilFrame(task, 'the agent waits', isWaiting);
  const run = lab.client.workflow.getHandle(taskWorkflowId(task));
  for (const said of ['garbage', null, {}, { attempt: 1, phase: 'dreaming' }, { attempt: '9', phase: 'working' }])
    await run.signal('agentProgress', said);
  expect(await lab.status(task)).toMatchObject({ phase: 'working', progress: { attempt: 1 } });
  await gate.open();
  expect(await lab.ended(task)).toMatchObject({ state: 'completed' });
  expect(await lab.leftovers(task)).toEqual([]);

  const other = await lab.submit({ input: `run cat ${gate.path}` });
  await lab.untilFrame(other, 'the agent waits', isWaiting);
  await lab.client.workflow.getHandle(taskWorkflowId(other)).signal('cancelTask', 'garbage');
  expect(await lab.ended(other)).toMatchObject({ state: 'cancelled', error_code: null });
});

test('the query returns what the task is doing', async () => {
  const task = await lab.submit({ input: 'plan. say first. slowly. say one two three four five. write a.txt with a' });
  await lab.untilPhase(task, 'working');
  const status = await lab.client.workflow.getHandle(taskWorkflowId(task)).query<TaskStatus>('taskStatus');
  expect(status).toMatchObject({ phase: 'working', step: 'dispatch agent', cancelRequested: false });
  await lab.cancel(task);
  expect(await lab.ended(task)).toMatchObject({ state: 'cancelled' });
});

test.each([
  ['no agent named, and no model configured', null, 'agent_needs_login', /No model is configured/],
  ['an agent that is not installed', 'gone', 'agent_not_installed', /gone/],
  ['an agent for a terminal that is not installed', 'no-terminal', 'agent_not_installed', /no-terminal/],
])('%s: the task fails with a code and a message', async (_title, agent, code, sentence) => {
  await lab.sql`
    INSERT INTO available_agents (name, supports_acp, install_path)
    VALUES ('gone', true, '/nowhere/gone'), ('no-terminal', false, '/nowhere/no-terminal') ON CONFLICT DO NOTHING`;
  const task = await lab.submit({ input: 'write a.txt with a', agent });
  const ended = await lab.ended(task);
  expect(ended).toMatchObject({ state: 'failed', error_code: code });
  expect(ended.output_summary).toMatch(sentence);
  expect(await lab.leftovers(task)).toEqual([]);
});

test('a project without a path fails with the words that backends know', async () => {
  const [project] = await lab.sql<{ id: ProjectId }[]>`INSERT INTO projects (name) VALUES ('nowhere') RETURNING id`;
  const task = await lab.submit({ input: 'write a.txt with a', projectId: project?.id ?? lab.projectId });
  expect(await lab.ended(task)).toMatchObject({
    state: 'failed',
    error_code: 'project_has_no_path',
    output_summary: 'Project has no path — cannot create worktree',
  });
});

test.each([
  ['refuse', 'agent_refused'],
  ['crash', 'agent_crashed'],
])('an agent with the instruction %s fails its task, and its edits are a partial change', async (word, code) => {
  const task = await lab.submit({ input: `write kept.txt with kept. ${word}` });
  expect(await lab.ended(task)).toMatchObject({ state: 'failed', error_code: code });
  expect(await lab.changes(task)).toMatchObject([{ partial: true }]);
  expect(await lab.inChange(task, 'kept.txt')).toBe('kept');
  expect((await lab.messages(task))[1]).toMatchObject({ status: 'failed' });
  expect(await lab.leftovers(task)).toEqual([]);
});
