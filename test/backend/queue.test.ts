/** The queue of a session over REST, messages that continue a session, and its chats. */
import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type LabServer, startServer } from './lab.ts';

let server: LabServer;
beforeAll(async () => {
  server = await startServer();
});
afterAll(() => server.close());

/** Of a project of its own, so that no other test adds to it. */
async function session(): Promise<string> {
  const { body: project } = await server.post('/api/projects', { path: server.repository });
  const [row] = await server.sql<{ id: string }[]>`
    INSERT INTO sessions (project_id, name) VALUES (${String(project['id'])}, 's') RETURNING id`;
  return row?.id ?? '';
}

async function add(session_id: string, input: string, more: object = {}): Promise<string> {
  const { body, status } = await server.post('/api/tasks', { session_id, input, agent: 'demo', ...more });
  expect(status).toBe(201);
  return String(body['id']);
}

const inputsOf = ({ body }: { body: Record<string, unknown> }): unknown[] =>
  (body['tasks'] as { input: string }[]).map(({ input }) => input);
const patch = (path: string, body: object) =>
  server.ask(path, { method: 'PATCH', body: JSON.stringify(body), headers: { 'content-type': 'application/json' } });
const start = (id: string) =>
  server.sql`UPDATE tasks SET state = 'running', claimed_at = now(), run_id = 'r' WHERE id = ${id}`;
const queueOf = (id: string) => server.get(`/api/sessions/${id}/queue`);

describe('the queue of a session', () => {
  test('lists the running and the waiting tasks, which are edited, moved and removed', async () => {
    const id = await session();
    const [running, a, b] = [await add(id, 'running'), await add(id, 'a'), await add(id, 'b')];
    await start(running);
    const listed = await queueOf(id);
    expect(listed.body).toMatchObject({
      running,
      waiting: 2,
      held_since: null,
      held_after: null,
      on_failure: 'continue',
    });
    expect(inputsOf(listed)).toEqual(['a', 'b']);
    expect(await patch(`/api/tasks/${a}`, { input: 'a, too' })).toMatchObject({
      status: 200,
      body: { input: 'a, too' },
    });
    const moved = await server.post(`/api/tasks/${b}/move`, { place: 1 });
    expect([moved.status, inputsOf(moved)]).toEqual([200, ['b', 'a, too']]);
    expect(await server.post(`/api/tasks/${b}/dequeue`)).toMatchObject({
      status: 200,
      body: { state: 'cancelled', output_summary: 'Removed from the queue before it started.' },
    });
    expect(inputsOf(await queueOf(id))).toEqual(['a, too']);
    const timeline = await server.get(`/api/sessions/${id}`);
    expect(timeline.body['queue']).toMatchObject({ tasks: [a], waiting: 1 });
    expect((timeline.body['tasks'] as { task_id: string }[]).map(({ task_id }) => task_id)).toEqual([running, b, a]);
  });

  test('is held, released and set', async () => {
    const id = await session();
    expect(await patch(`/api/sessions/${id}/queue`, { held: true, on_failure: 'hold' })).toMatchObject({
      status: 200,
      body: { held_since: expect.any(String) as string, on_failure: 'hold' },
    });
    expect(await patch(`/api/sessions/${id}/queue`, { held: false })).toMatchObject({
      status: 200,
      body: { held_since: null, on_failure: 'hold' },
    });
    expect(await patch(`/api/sessions/${id}/queue`, {})).toMatchObject({ status: 400 });
  });

  test('is unknown for an unknown session', async () => {
    const missing = { status: 404, body: { error_code: 'session_not_found' } };
    expect(await queueOf(randomUUID())).toMatchObject(missing);
    expect(await patch(`/api/sessions/${randomUUID()}/queue`, { held: true })).toMatchObject(missing);
    expect(await server.post(`/api/sessions/${randomUUID()}/send`, { input: 'x' })).toMatchObject(missing);
    expect(await server.get(`/api/sessions/${randomUUID()}/chats`)).toMatchObject(missing);
    expect(await server.post(`/api/sessions/${randomUUID()}/chats`, { name: 'x' })).toMatchObject(missing);
  });

  test('a task that has started, or does not exist, is refused with what happened', async () => {
    const id = await session();
    const task = await add(id, 'x');
    await start(task);
    for (const send of CHANGES) {
      expect(await send(task)).toMatchObject({
        status: 409,
        body: { error_code: 'task_not_queued', detail: expect.stringContaining(`Task ${task} is running`) as string },
      });
      expect(await send(randomUUID())).toMatchObject({ status: 404, body: { error_code: 'task_not_found' } });
    }
    expect(await patch(`/api/tasks/${task}`, { input: ' ' })).toMatchObject({ status: 400 });
  });

  const CHANGES = [
    (task: string) => patch(`/api/tasks/${task}`, { input: 'y' }),
    (task: string) => server.post(`/api/tasks/${task}/move`, { place: 1 }),
    (task: string) => server.post(`/api/tasks/${task}/dequeue`),
  ];
});

describe('a message', () => {
  test('to a session continues it as its newest task did, also with its permission policy', async () => {
    const id = await session();
    const policy = { permission_policy: 'ask', permission_timeout_s: 60, permission_default: 'deny' };
    await add(id, 'first', { ...policy, model: 'm' });
    const made = await server.post(`/api/sessions/${id}/send`, { input: 'next' });
    expect(made).toMatchObject({
      status: 201,
      body: { ...policy, session_id: id, input: 'next', agent: 'demo', model: 'm' },
    });
    expect(made.headers.get('location')).toBe(`/api/tasks/${String(made.body['id'])}`);
    expect(inputsOf(await queueOf(id))).toEqual(['first', 'next']);
  });

  test('to a task continues its session in its chat', async () => {
    const id = await session();
    const chat = await server.post(`/api/sessions/${id}/chats`, { name: 'first pane' });
    expect(chat).toMatchObject({ status: 201, body: { name: 'first pane', status: 'open' } });
    const task = await add(id, 'first', { chat_id: chat.body['id'] });
    await server.post(`/api/sessions/${id}/chats`, { name: 'second pane' });
    expect(await server.get(`/api/sessions/${id}/chats`)).toMatchObject({
      body: { items: [{ name: 'first pane' }, { name: 'second pane' }] },
    });
    const key = { 'idempotency-key': randomUUID() };
    const made = await server.post(`/api/tasks/${task}/reply`, { input: 'next' }, key);
    expect(made).toMatchObject({ status: 201, body: { session_id: id, chat_id: chat.body['id'], input: 'next' } });
    const again = await server.post(`/api/tasks/${task}/reply`, { input: 'next' }, key);
    expect([again.body['id'], again.headers.get('idempotency-replayed')]).toEqual([made.body['id'], 'true']);
    expect(await server.post(`/api/tasks/${task}/reply`, { input: 'other' }, key)).toMatchObject({ status: 409 });
  });

  test('to a task without a session is refused', async () => {
    const { body } = await server.post('/api/tasks', { project_path: server.repository, input: 'x', agent: 'demo' });
    const refused = await server.post(`/api/tasks/${String(body['id'])}/reply`, { input: 'next' });
    expect(refused).toMatchObject({
      status: 404,
      body: {
        error_code: 'session_not_found',
        detail: expect.stringContaining('it gets one when it starts') as string,
      },
    });
  });

  test('that interrupts cancels the running task and is the next one', async () => {
    const id = await session();
    const [running] = [await add(id, 'running'), await add(id, 'waiting')];
    await start(running);
    const made = await server.post(`/api/sessions/${id}/send`, { input: 'now', interrupt: true });
    expect(made.status).toBe(201);
    expect(inputsOf(await queueOf(id))).toEqual(['now', 'waiting']);
    expect((await server.get(`/api/tasks/${running}`)).body['cancel_reason']).toBe('Interrupted by the next message.');
    expect(await server.sql`SELECT interrupted_by FROM tasks WHERE id = ${running}`).toEqual([
      { interrupted_by: made.body['id'] },
    ]);
    expect(
      await server.post('/api/tasks', { project_path: server.repository, agent: 'demo', input: 'x', interrupt: true }),
    ).toMatchObject({ status: 400 });
  });
});
