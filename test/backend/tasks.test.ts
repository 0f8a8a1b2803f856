import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type LabServer, startServer } from './lab.ts';

let server: LabServer;
beforeAll(async () => {
  server = await startServer();
});
afterAll(() => server.close());

const newTask = (more: object = {}) => ({ project_path: server.repository, input: 'do it', agent: 'demo', ...more });

test('a task that is handed over is a row, and is shown', async () => {
  const made = await server.post('/api/tasks', newTask({ priority: 2 }));
  expect(made.status).toBe(201);
  expect(made.body).toMatchObject({
    state: 'pending',
    phase: 'queued',
    input: 'do it',
    priority: 2,
    actions: ['cancel'],
  });
  const id = String(made.body['id']);
  expect(made.headers.get('location')).toBe(`/api/tasks/${id}`);
  expect(await server.sql`SELECT input, agent FROM tasks WHERE id = ${id}`).toEqual([
    { input: 'do it', agent: 'demo' },
  ]);
  const shown = await server.get(`/api/tasks/${id}`);
  expect(shown).toMatchObject({ status: 200, body: made.body });
});

test('what is wrong with a request is said by field, in a problem document', async () => {
  const wrong = await server.post('/api/tasks', newTask({ priority: 9, colour: 'red' }));
  expect(wrong.status).toBe(400);
  expect(wrong.headers.get('content-type')).toBe('application/problem+json');
  expect(wrong.body).toMatchObject({
    status: 400,
    title: 'Bad Request',
    error_code: 'invalid_input',
    retryable: false,
  });
  expect(wrong.body['request_id']).toBe(wrong.headers.get('x-request-id'));
  const missing = await server.get(`/api/tasks/${randomUUID()}`);
  expect(missing).toMatchObject({ status: 404, body: { error_code: 'task_not_found' } });
});
