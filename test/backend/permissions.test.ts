import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Elicitation, elicitationOptions } from '../../contract/elicitation.ts';
import type { PermissionId, SessionId, TaskId } from '../../contract/ids.ts';
import { labSession } from '../lab/log.ts';
import { type LabServer, startServer } from './lab.ts';

let server: LabServer;
let sessionId: SessionId;
let taskId: TaskId;
beforeAll(async () => {
  server = await startServer();
  ({ sessionId, taskId } = await labSession(server.sql));
});
afterAll(() => server.close());

const OPTIONS = [
  { option_id: 'deny', name: 'Yes, deny me nothing', kind: 'allow_once' },
  { option_id: 'no', name: 'No', kind: 'reject_once' },
];

const FORM: Elicitation = {
  mode: 'form',
  message: 'Which service?',
  fields: [
    { name: 'name', type: 'string', required: true },
    { name: 'size', type: 'integer', required: false, minimum: 1 },
  ],
};

/** As a row of any program. */
async function asked(options: unknown = OPTIONS): Promise<PermissionId> {
  const id = randomUUID() as PermissionId;
  await server.sql`
    INSERT INTO permissions (id, task_id, session_id, options, title)
    VALUES (${id}, ${taskId}, ${sessionId}, ${server.sql.json(options as never)}, 'Run make')`;
  return id;
}

test('a request is listed, shown, answered once; the second answer gets the first', async () => {
  const id = await asked();
  const listed = await server.get(`/api/permissions?state=pending&task_id=${taskId}`);
  expect(listed).toMatchObject({ status: 200, body: { items: [{ id, title: 'Run make', options: OPTIONS }] } });
  const answer = (body: unknown) => server.post(`/api/permissions/${id}/answer`, body);
  expect(await answer({ answer: 'no', message: 'not on Friday' })).toMatchObject({
    status: 200,
    body: { state: 'answered', chosen: 'no', message: 'not on Friday', answered_by: 'rest' },
  });
  expect(await answer({ answer: 'allow' })).toMatchObject({
    status: 409,
    body: { error_code: 'permission_answered', detail: expect.stringContaining('No (by rest)') as string },
  });
  expect(await server.get(`/api/permissions/${id}`)).toMatchObject({ body: { chosen: 'no' } });
});

test('a form: an answer that does not fit gets 422 with each wrong field, one that fits is stored', async () => {
  const id = await asked(elicitationOptions(FORM));
  await server.sql`UPDATE permissions SET kind = 'elicitation', elicitation = ${server.sql.json(FORM as never)} WHERE id = ${id}`;
  const answer = (body: unknown) => server.post(`/api/permissions/${id}/answer`, body);
  expect(await answer({ answer: 'accept', content: { size: 0 } })).toMatchObject({
    status: 422,
    body: {
      error_code: 'form_not_valid',
      detail: expect.stringContaining('/size') as string,
      errors: [{ pointer: '/name' }, { pointer: '/size' }],
    },
  });
  expect(await server.get(`/api/permissions/${id}`)).toMatchObject({ body: { state: 'pending', elicitation: FORM, content: null } }); // prettier-ignore
  expect(await answer({ answer: 'accept', content: { name: 'Ada', size: 2 } })).toMatchObject({
    status: 200,
    body: { state: 'answered', chosen: 'accept', content: { name: 'Ada', size: 2 } },
  });
});

test('content for a request without a form is refused', async () => {
  const id = await asked();
  expect(await server.post(`/api/permissions/${id}/answer`, { answer: 'no', content: {} })).toMatchObject({
    status: 400,
    body: { detail: expect.stringContaining('content') as string },
  });
});

test('allow and deny choose by the kind of an option, never by its id', async () => {
  const id = await asked();
  expect(await server.post(`/api/permissions/${id}/answer`, { answer: 'deny' })).toMatchObject({
    status: 200,
    body: { chosen: 'no' },
  });
});

test('ten answers at once: one counts', async () => {
  const id = await asked();
  const answers = Array.from({ length: 10 }, (_, at) =>
    server.post(`/api/permissions/${id}/answer`, { answer: at % 2 === 0 ? 'allow' : 'deny' }),
  );
  const codes = (await Promise.all(answers)).map(({ status }) => status).toSorted((a, b) => a - b);
  expect(codes).toEqual([200, ...Array.from({ length: 9 }, () => 409)]);
});

test.each([
  ['an option that is not offered', { answer: 'perhaps' }],
  ['no answer', {}],
  ['an empty answer', { answer: '' }],
  ['a key that is not known', { answer: 'allow', force: true }],
])('%s is refused, and the request still waits', async (_name, body) => {
  const id = await asked();
  expect(await server.post(`/api/permissions/${id}/answer`, body)).toMatchObject({ status: 400 });
  expect(await server.get(`/api/permissions/${id}`)).toMatchObject({ body: { state: 'pending' } });
});

test('a row of another program with times that are infinite fails no list, and can be answered', async () => {
  const id = await asked();
  await server.sql`UPDATE permissions SET expires_at = 'infinity', requested_at = '-infinity', answered_at = 'infinity' WHERE id = ${id}`;
  expect(await server.get(`/api/permissions?task_id=${taskId}`)).toMatchObject({ status: 200 });
  expect(await server.get(`/api/permissions/${id}`)).toMatchObject({ status: 200, body: { expires_at: null } });
  expect(await server.post(`/api/permissions/${id}/answer`, { answer: 'allow' })).toMatchObject({ status: 200 });
});

test('a request that does not exist', async () => {
  const path = `/api/permissions/${randomUUID()}`;
  expect(await server.get(path)).toMatchObject({ status: 404, body: { error_code: 'permission_not_found' } });
  expect(await server.post(`${path}/answer`, { answer: 'allow' })).toMatchObject({ status: 404 });
});

test.each([['null'], [{}], ['x'], [[null, { option_id: 5 }, { option_id: 'a', kind: 'odd' }]]])(
  'a row of another program with the options %j fails no list',
  async (options) => {
    const id = await asked(options);
    expect(await server.get(`/api/permissions/${id}`)).toMatchObject({ status: 200, body: { options: [] } });
    expect(await server.get('/api/permissions')).toMatchObject({ status: 200 });
    expect(await server.get(`/api/sessions/${sessionId}`)).toMatchObject({ status: 200 });
  },
);
