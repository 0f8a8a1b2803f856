import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type LabMessage, labSession } from '../lab/log.ts';
import { type LabServer, startServer } from './lab.ts';

let server: LabServer;
let of: LabMessage;
beforeAll(async () => {
  server = await startServer();
  of = await labSession(server.sql);
});
afterAll(() => server.close());

test('a rule is added, listed where it applies, and removed once', async () => {
  const body = { session_id: of.sessionId, effect: 'deny', path_glob: 'secrets/**' };
  const { status, body: added } = await server.post('/api/rules', body);
  expect([status, added]).toMatchObject([201, { scope: 'session', effect: 'deny', path_glob: 'secrets/**', tool_kind: null }]); // prettier-ignore
  const id = String(added['id']);
  for (const place of [`task_id=${of.taskId}`, `session_id=${of.sessionId}`, ''])
    expect([place, await server.get(`/api/rules?${place}`)]).toMatchObject([place, { body: { items: [{ id }] } }]);
  expect(await server.get(`/api/rules?project_id=${randomUUID()}`)).toMatchObject({ body: { items: [] } });
  const remove = () => server.ask(`/api/rules/${id}`, { method: 'DELETE' });
  expect(await remove()).toMatchObject({ status: 200, body: { id } });
  expect(await remove()).toMatchObject({ status: 404, body: { error_code: 'rule_not_found' } });
});

test.each([
  ['no place', { effect: 'allow', tool_kind: 'read' }, 400],
  ['two places', { session_id: randomUUID(), task_id: randomUUID(), effect: 'allow', tool_kind: 'read' }, 400],
  ['nothing to match', { session_id: randomUUID(), effect: 'allow' }, 400],
  ['an unknown effect', { session_id: randomUUID(), effect: 'maybe', tool_kind: 'read' }, 400],
  ['a session that does not exist', { session_id: randomUUID(), effect: 'allow', tool_kind: 'read' }, 404],
  ['a task that does not exist', { task_id: randomUUID(), effect: 'allow', tool_kind: 'read' }, 404],
  ['a project that does not exist', { project_id: randomUUID(), effect: 'allow', tool_kind: 'read' }, 404],
])('%s is refused', async (_name, body, status) => {
  expect(await server.post('/api/rules', body)).toMatchObject({ status });
});

test('a rule is deleted with its session', async () => {
  const { sessionId } = await labSession(server.sql);
  await server.post('/api/rules', { session_id: sessionId, effect: 'ask', tool_kind: 'edit' });
  await server.sql`DELETE FROM tasks WHERE session_id = ${sessionId}`;
  await server.sql`DELETE FROM messages WHERE session_id = ${sessionId}`;
  await server.sql`DELETE FROM chats WHERE session_id = ${sessionId}`;
  await server.sql`DELETE FROM sessions WHERE id = ${sessionId}`;
  expect(await server.get(`/api/rules?session_id=${sessionId}`)).toMatchObject({ body: { items: [] } });
});
