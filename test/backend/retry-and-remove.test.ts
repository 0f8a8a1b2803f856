import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type LabServer, startServer } from './lab.ts';

let server: LabServer;
beforeAll(async () => {
  server = await startServer();
});
afterAll(() => server.close());

/** A task of ours, in the state `state`. */
async function make(state: string, more: object = {}): Promise<string> {
  const { body } = await server.post('/api/tasks', {
    project_path: server.repository,
    input: 'do it',
    agent: 'demo',
    ...more,
  });
  const id = String(body['id']);
  const ended = state === 'pending' ? null : new Date();
  await server.sql`UPDATE tasks SET state = ${state}, ended_at = ${ended}, claimed_at = ${ended} WHERE id = ${id}`;
  return id;
}

const remove = (id: string) => server.ask(`/api/tasks/${id}`, { method: 'DELETE' });

describe('a task is retried', () => {
  test('as a new task with its input, agent, model and priority', async () => {
    const id = await make('failed', { model: 'm', priority: 2 });
    expect(await server.get(`/api/tasks/${id}`)).toMatchObject({
      body: { phase: 'failed', actions: ['retry', 'remove'] },
    });
    const made = await server.post(`/api/tasks/${id}/retry`);
    expect(made).toMatchObject({
      status: 201,
      body: { state: 'pending', input: 'do it', agent: 'demo', model: 'm', priority: 2 },
    });
    expect(made.body['id']).not.toBe(id);
    expect(made.headers.get('location')).toBe(`/api/tasks/${String(made.body['id'])}`);
  });

  test('once for each Idempotency-Key', async () => {
    const id = await make('completed');
    const key = { 'idempotency-key': randomUUID() };
    const first = await server.post(`/api/tasks/${id}/retry`, undefined, key);
    const again = await server.post(`/api/tasks/${id}/retry`, undefined, key);
    expect([first.status, again.status, again.headers.get('idempotency-replayed')]).toEqual([201, 201, 'true']);
    expect(again.body).toEqual(first.body);
  });

  test('not while it is open, and not if it does not exist', async () => {
    const id = await make('pending');
    expect(await server.post(`/api/tasks/${id}/retry`)).toMatchObject({
      status: 409,
      body: { error_code: 'task_open', retryable: true },
    });
    expect(await server.post(`/api/tasks/${randomUUID()}/retry`)).toMatchObject({
      status: 404,
      body: { error_code: 'task_not_found' },
    });
  });
});

describe('a task is removed', () => {
  test('with its rows, and is then unknown', async () => {
    const id = await make('cancelled');
    expect(await remove(id)).toMatchObject({ status: 200, body: { task_id: id, session: 'none', kept_result: null } });
    expect(await server.get(`/api/tasks/${id}`)).toMatchObject({ status: 404 });
    expect(await remove(id)).toMatchObject({ status: 404, body: { error_code: 'task_not_found' } });
  });

  test('and the commit of its result is named', async () => {
    const id = await make('completed');
    await server.sql`INSERT INTO pending_changes (task_id, file_path, operation, diff, result_commit) VALUES (${id}, '/p', 'edit', '', 'c1')`;
    expect(await remove(id)).toMatchObject({
      body: { kept_result: { ref: `refs/longhaul/tasks/${id}`, commit: 'c1', project_path: server.repository } },
    });
  });

  test('not while it is open, nor while another task of its session is at work', async () => {
    const open = await make('pending');
    expect(await remove(open)).toMatchObject({ status: 409, body: { error_code: 'task_open', retryable: true } });
    const [session] = await server.sql<{ id: string }[]>`INSERT INTO sessions (name) VALUES ('s') RETURNING id`;
    const ended = await make('completed');
    await server.sql`UPDATE tasks SET session_id = ${session?.id ?? ''} WHERE id = ${ended}`;
    await server.sql`
      INSERT INTO tasks (project_id, input, session_id, claimed_at) VALUES (${randomUUID()}, 'x', ${session?.id ?? ''}, now())`;
    expect(await remove(ended)).toMatchObject({
      status: 409,
      body: { error_code: 'session_at_work', retryable: true },
    });
    expect((await remove('x')).status).toBe(400);
  });
});
