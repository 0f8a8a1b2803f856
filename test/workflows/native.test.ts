import { existsSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import type { ProjectId, TaskId } from '../../contract/ids.ts';
import { type Lab, startLab } from '../lab/lab.ts';
import { inOrder, ModelServer } from '../lab/model-server/model-server.ts';
import { USAGE } from '../lab/model-server/replies.ts';

/** With exactly the tables that old backends have: what they expect of a task without an agent stays. */
let lab: Lab;
let model: ModelServer;
beforeAll(async () => {
  model = await ModelServer.start();
  lab = await startLab({ oldTables: true });
  await lab.startWorker({ ...model.env('chat') });
});
beforeEach(() => {
  model.requests.length = 0;
});
afterAll(async () => {
  await lab.close();
  await model.stop();
  expect(model.faults).toEqual([]);
});

const CALL = USAGE.input + USAGE.output;

async function session(task: TaskId): Promise<Record<string, unknown> | undefined> {
  const [row] = await lab.sql`
    SELECT s.name, s.status, c.name AS chat, c.status AS chat_status, t.execution_path, t.cost_tokens
      FROM tasks t JOIN sessions s ON s.id = t.session_id JOIN chats c ON c.session_id = s.id WHERE t.id = ${task}`;
  return row;
}

async function warnings(task: TaskId): Promise<unknown[]> {
  const frames = await lab.frames(task);
  return frames.filter(({ type }) => type === 'warning').map(({ body }) => body['message']);
}

test('a task without an agent is run by the native one, with the names that backends know', async () => {
  model.answer = inOrder(
    { say: 'I write.', calls: [{ tool: 'write', input: { path: 'hello.txt', content: 'Hello\n' } }] },
    { say: 'Written.' },
  );
  const input = 'Write hello.txt with the word Hello in it, and nothing else';
  const task = await lab.submit({ input, agent: null });
  expect(await lab.ended(task)).toMatchObject({ state: 'completed', error_code: null, output_summary: 'Written.' });
  expect(await session(task)).toEqual({
    name: `Task: ${input.slice(0, 40)}`,
    status: 'open',
    chat: 'Task execution',
    chat_status: 'open',
    execution_path: 'native',
    cost_tokens: 2 * CALL,
  });
  const messages = await lab.messages(task);
  expect(messages.map(({ role, status, content }) => [role, status, content])).toEqual([
    ['user', 'complete', input],
    ['assistant', 'complete', expect.stringMatching(/^I write\.\s+Written\.$/)],
  ]);
  expect(await lab.inChange(task, 'hello.txt')).toBe('Hello');
  expect(await warnings(task)).toEqual([]);
  expect(await lab.leftovers(task)).toEqual([]);
});

test('an agent that is not listed: a warning, also as a frame, and the native agent', async () => {
  model.answer = inOrder({ say: 'I am here instead.' });
  const task = await lab.submit({ input: 'Answer', agent: 'nobody' });
  expect(await lab.ended(task)).toMatchObject({ state: 'completed' });
  expect(await session(task)).toMatchObject({ execution_path: 'native', name: 'Task: Answer' });
  expect(await warnings(task)).toEqual([
    'Agent "nobody" is not listed in available_agents; the task takes the native path.',
  ]);
});

test('without a project path it answers only, in an empty folder, without worktree and change', async () => {
  const [project] = await lab.sql<{ id: ProjectId }[]>`
    INSERT INTO projects (id, name) VALUES (gen_random_uuid(), 'nowhere') RETURNING id`;
  model.answer = inOrder({ say: 'A fence is a token.' }, { say: 'In the row.' });
  const task = await lab.submit({ input: 'What is a fence?', agent: null, projectId: project?.id ?? lab.projectId });
  const ended = await lab.ended(task);
  expect(ended).toMatchObject({ state: 'completed', worktree_path: null, output_summary: 'A fence is a token.' });
  expect(model.requests[0]?.tools).toEqual([]);
  expect(await lab.changes(task)).toEqual([]);
  expect(await lab.leftovers(task)).toEqual([]);
  expect(existsSync(path.join(lab.home, 'scratch', ended.session_id ?? ''))).toBe(false);

  const next = await lab.submit({ input: 'Where?', agent: null, projectId: project?.id ?? lab.projectId, sessionId: ended.session_id ?? '' }); // prettier-ignore
  expect(await lab.ended(next)).toMatchObject({ state: 'completed' });
  expect(model.requests[1]?.messages.map(({ texts }) => texts)).toEqual([['What is a fence?'], ['A fence is a token.'], ['Where?']]); // prettier-ignore
  expect(await warnings(next)).toEqual([]);
});

test("a session's next task continues the conversation and the files", async () => {
  model.answer = inOrder(
    { calls: [{ tool: 'write', input: { path: 'one.txt', content: 'one\n' } }] },
    { say: 'One.' },
    { calls: [{ tool: 'edit', input: { path: 'one.txt', old_text: 'one', new_text: 'two' } }] },
    { say: 'Two.' },
  );
  const first = await lab.submit({ input: 'Write one', agent: null });
  const { session_id: sessionId } = await lab.ended(first);
  const second = await lab.submit({ input: 'Make it two', agent: null, sessionId: sessionId ?? '' });
  expect(await lab.ended(second)).toMatchObject({ state: 'completed' });
  expect(await session(second)).toMatchObject({ cost_tokens: 2 * CALL });
  expect(await lab.inChange(second, 'one.txt')).toBe('two');
  expect(model.requests[2]?.messages.map(({ role }) => role)).toEqual([
    'user',
    'assistant',
    'tool',
    'assistant',
    'user',
  ]);
  expect(await warnings(second)).toEqual([]);
});

test('a turn without text fails with "Inference failed" and no change, and the limits of text apply', async () => {
  model.answer = () => ({});
  const task = await lab.submit({ input: 'Answer', agent: null });
  const ended = await lab.ended(task);
  expect(ended).toMatchObject({ state: 'failed', error_code: 'llm_error' });
  expect(ended.output_summary).toContain('Inference failed');

  const long = `${'x'.repeat(99)} `.repeat(3_000);
  model.answer = inOrder({ think: long, say: long });
  const talked = await lab.submit({ input: 'Talk', agent: null });
  const after = await lab.ended(talked);
  expect(after.output_summary?.length).toBeLessThanOrEqual(500);
  const [, assistant] = await lab.messages(talked);
  expect(assistant?.content).toHaveLength(50_000);
  const [row] = await lab.sql<{ length: number }[]>`
    SELECT length(reasoning) AS length FROM messages WHERE task_id = ${talked} AND role = 'assistant'`;
  expect(row?.length).toBe(200_000);
});
