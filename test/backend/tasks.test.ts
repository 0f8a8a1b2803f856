import { randomUUID } from 'node:crypto';
import { mkdir, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Answer, type LabServer, startServer } from './lab.ts';

let server: LabServer;
beforeAll(async () => {
  server = await startServer();
});
afterAll(() => server.close());

const newTask = (more: object = {}) => ({ project_path: server.repository, input: 'do it', agent: 'demo', ...more });
const submit = (more: object = {}, headers: Record<string, string> = {}): Promise<Answer> =>
  server.post('/api/tasks', newTask(more), headers);
const tasksInTable = async (): Promise<number> => (await server.sql`SELECT FROM tasks`).length;

test('a submitted task is a row, and is shown', async () => {
  const made = await submit({ priority: 2, model: 'm' });
  expect(made.status).toBe(201);
  expect(made.body).toMatchObject({
    state: 'pending',
    phase: 'queued',
    input: 'do it',
    model: 'm',
    actions: ['cancel', 'edit', 'dequeue'],
  });
  const id = String(made.body['id']);
  expect(made.headers.get('location')).toBe(`/api/tasks/${id}`);
  expect(made.body['workflow_url']).toBe(`http://ui/namespaces/default/workflows/task-${id}`);
  expect(await server.sql`SELECT input, agent, priority FROM tasks WHERE id = ${id}`).toEqual([
    { input: 'do it', agent: 'demo', priority: 2 },
  ]);
  expect(await server.get(`/api/tasks/${id}`)).toMatchObject({ status: 200, body: made.body });
});

test('a task continues a session, with its user message', async () => {
  const { body: first } = await submit();
  const [session] = await server.sql<{ id: string }[]>`
    INSERT INTO sessions (project_id, name) VALUES (${String(first['project_id'])}, 's') RETURNING id`;
  const made = await server.post('/api/tasks', { session_id: session?.id, input: 'go on', agent: 'demo' });
  expect(made).toMatchObject({ status: 201, body: { session_id: session?.id, project_id: first['project_id'] } });
  expect(await server.sql`SELECT content FROM messages WHERE session_id = ${session?.id ?? ''}`).toEqual([
    { content: 'go on' },
  ]);
});

test('a task brings its rules', async () => {
  const made = await submit({
    rules: [
      { effect: 'deny', path_glob: 'a/**' },
      { effect: 'allow', command_pattern: 'make' },
    ],
  });
  const { body } = await server.get(`/api/rules?task_id=${String(made.body['id'])}`);
  expect(body['items']).toMatchObject([
    { scope: 'task', effect: 'deny', path_glob: 'a/**' },
    { scope: 'task', effect: 'allow', command_pattern: 'make' },
  ]);
});

describe('an impossible request is refused before a row is inserted', () => {
  test.each([
    ['a priority out of range', { priority: 9 }, 400, 'invalid_input', /priority/],
    ['an unknown field', { colour: 'red' }, 400, 'invalid_input', /colour/],
    ['no input', { input: '' }, 400, 'invalid_input', /input/],
    ['an input of blanks', { input: ' \n' }, 400, 'invalid_input', /empty/],
    ['a NUL in a name', { model: 'a\0b' }, 400, 'invalid_input', /U\+0000/],
    ['an invalid id', { project_path: undefined, project_id: 'x' }, 400, 'invalid_input', /project_id/],
    ['two places', { project_id: randomUUID() }, 400, 'invalid_input', /not both/],
    ['no place', { project_path: undefined }, 400, 'invalid_input', /Neither a project nor a session/],
    ['a relative path', { project_path: 'here' }, 400, 'invalid_input', /absolute/],
    [
      'an unknown project',
      { project_path: undefined, project_id: randomUUID() },
      404,
      'project_not_found',
      /no project/,
    ],
    ['an unknown session', { project_path: undefined, session_id: randomUUID() }, 404, 'session_not_found', /session/],
    ['a path that does not exist', { project_path: '/nonexistent/x' }, 422, 'project_missing', /not exist/],
    ['an unknown agent', { agent: 'gpt' }, 422, 'agent_unknown', /demo/],
    ['a rule of an unknown effect', { rules: [{ effect: 'perhaps' }] }, 400, 'invalid_input', /rules/],
    ['a rule of two kinds', { rules: [{ effect: 'allow', path_glob: 'a', command_pattern: 'b' }] }, 400, 'invalid_input', /found both/], // prettier-ignore
    ['an unknown policy', { permission_policy: 'maybe' }, 400, 'invalid_input', /permission_policy/],
    ['a timeout without the policy ask', { permission_timeout_s: 5 }, 400, 'invalid_input', /permission_policy "ask"/],
    [
      'a timeout of no time',
      { permission_policy: 'ask', permission_timeout_s: 0 },
      400,
      'invalid_input',
      /permission_timeout_s/,
    ],
  ])('%s', async (_name, more, status, error_code, detail) => {
    const before = await tasksInTable();
    const answer = await submit(more);
    expect(answer.status).toBe(status);
    expect(answer.headers.get('content-type')).toBe('application/problem+json');
    expect(answer.body).toMatchObject({ type: 'about:blank', status, error_code, retryable: false, detail: expect.stringMatching(detail) as string }); // prettier-ignore
    expect(answer.body['request_id']).toBe(answer.headers.get('x-request-id'));
    expect(await tasksInTable()).toBe(before);
  });

  test('the response names the invalid field of the body', async () => {
    const { body } = await submit({ priority: 9, chat_id: 'x' });
    expect(body['errors']).toEqual([
      { pointer: '/chat_id', detail: expect.any(String) as string },
      { pointer: '/priority', detail: expect.any(String) as string },
    ]);
  });

  test('a body that is no JSON, of another type, or too large', async () => {
    expect(await server.post('/api/tasks', '{"input": ')).toMatchObject({
      status: 400,
      body: { error_code: 'invalid_input' },
    });
    expect(await server.post('/api/tasks', '{"__proto__": {}}')).toMatchObject({ status: 400 });
    const xml = await server.post('/api/tasks', '<x/>', { 'content-type': 'application/xml' });
    expect(xml).toMatchObject({ status: 415, body: { error_code: 'unsupported_media_type' } });
    const plain = await server.post('/api/tasks', '{}', { 'content-type': 'text/plain' });
    expect(plain).toMatchObject({ status: 415, body: { error_code: 'unsupported_media_type' } });
    const large = await server.post('/api/tasks', newTask({ input: 'x'.repeat(9_000_000) }));
    expect(large).toMatchObject({ status: 413, body: { error_code: 'body_too_large' } });
    const long = await server.post('/api/tasks', newTask({ input: 'x'.repeat(1_000_001) }));
    expect(long).toMatchObject({ status: 400, body: { error_code: 'invalid_input' } });
  });

  test('the longest input, in a script with four-byte characters, is accepted', async () => {
    const { status, body } = await submit({ input: '\u{10ffff}'.repeat(500_000) });
    expect(status).toBe(201);
    expect(String(body['input'])).toHaveLength(1_000_000);
  });
});

describe('with an Idempotency-Key', () => {
  test('the same request creates one task and gets one response, whatever state the task has', async () => {
    const key = { 'idempotency-key': randomUUID() };
    const before = await tasksInTable();
    const first = await submit({}, key);
    expect(first.headers.get('idempotency-replayed')).toBe('false');
    await server.sql`UPDATE tasks SET state = 'running', started_at = now() WHERE id = ${String(first.body['id'])}`;
    const again = await submit({}, key);
    expect(again).toMatchObject({ status: 201, text: first.text });
    expect(again.headers.get('idempotency-replayed')).toBe('true');
    expect(again.headers.get('location')).toBe(first.headers.get('location'));
    expect(await tasksInTable()).toBe(before + 1);
  });

  test('another request is refused; the order of fields does not matter', async () => {
    const key = { 'idempotency-key': randomUUID() };
    await submit({}, key);
    expect(await submit({ input: 'do more' }, key)).toMatchObject({
      status: 409,
      body: { error_code: 'idempotency_conflict' },
    });
    const turned = { agent: 'demo', input: 'do it', project_path: server.repository };
    expect((await server.post('/api/tasks', turned, key)).status).toBe(201);
  });

  test('many at once, at two backends, make one task', async () => {
    const other = await server.another();
    const key = { 'idempotency-key': randomUUID() };
    const before = await tasksInTable();
    const asked = Array.from({ length: 12 }, (_, index) =>
      (index % 2 ? other : server).post('/api/tasks', newTask(), key),
    );
    const answers = await Promise.all(asked);
    expect(new Set(answers.map(({ status, text }) => `${status} ${text}`)).size).toBe(1);
    expect(answers.filter(({ headers }) => headers.get('idempotency-replayed') === 'false')).toHaveLength(1);
    expect(await tasksInTable()).toBe(before + 1);
  });

  test('a refused request does not use up its key', async () => {
    const key = { 'idempotency-key': randomUUID() };
    expect((await submit({ agent: 'gpt' }, key)).status).toBe(422);
    expect((await submit({}, key)).status).toBe(201);
  });

  test('a key of yesterday creates a new task, and outdated keys are removed', async () => {
    const [key, old] = [randomUUID(), randomUUID()];
    const first = await submit({}, { 'idempotency-key': key });
    await submit({}, { 'idempotency-key': old });
    await server.sql`UPDATE idempotency_keys SET created_at = now() - interval '25 hours' WHERE key IN ${server.sql([key, old])}`;
    const next = await submit({ input: 'another' }, { 'idempotency-key': key });
    expect(next.status).toBe(201);
    expect(next.body['id']).not.toBe(first.body['id']);
    expect(await server.sql`SELECT FROM idempotency_keys WHERE key = ${old}`).toHaveLength(0);
  });

  test('a key of other characters, or too long, is refused', async () => {
    for (const key of ['a b', 'x'.repeat(256)]) {
      expect(await submit({}, { 'idempotency-key': key })).toMatchObject({
        status: 400,
        body: { error_code: 'invalid_input' },
      });
    }
  });
});

describe('tasks are listed', () => {
  test('newest first, in pages, by state, project and session; rows added meanwhile do not shift the pages', async () => {
    const project_id = randomUUID();
    const at = (n: number) => new Date(Date.UTC(2020, 0, 1, 0, 0, 0, n));
    // Some in one moment: the id decides. Two without a time, as adopted tables have: last.
    const rows = Array.from({ length: 9 }, (_, n) => ({ project_id, input: `n${n}`, created_at: at(n >> 1) }));
    await server.sql`INSERT INTO tasks ${server.sql(rows)}`;
    await server.sql`UPDATE tasks SET created_at = NULL WHERE project_id = ${project_id} AND input IN ('n0', 'n1')`;
    const seen: string[] = [];
    let cursor: unknown;
    do {
      const page = await server.get(
        `/api/tasks?limit=2&project_id=${project_id}${typeof cursor === 'string' ? `&cursor=${cursor}` : ''}`,
      );
      expect(page.status).toBe(200);
      seen.push(...(page.body['items'] as { input: string }[]).map(({ input }) => input));
      cursor = page.body['next_cursor'];
      await server.sql`INSERT INTO tasks (project_id, input) VALUES (${project_id}, 'late')`;
    } while (cursor !== null);
    expect(seen).toHaveLength(9);
    expect(new Set(seen).size).toBe(9);
    expect(seen[0]).toBe('n8');
    expect(new Set(seen.slice(-2))).toEqual(new Set(['n0', 'n1']));
  });

  test('with long inputs cut, and all other fields complete', async () => {
    const { body } = await submit({ input: 'y'.repeat(5_000) });
    await server.sql`INSERT INTO pending_changes (task_id, files) VALUES (${String(body['id'])}, '[{}, {}]')`;
    const { body: page } = await server.get('/api/tasks?limit=1&state=pending');
    expect(page['items']).toMatchObject([
      { id: body['id'], input: 'y'.repeat(1_000), change: { files: 2 }, actions: ['cancel', 'edit', 'dequeue'] },
    ]);
  });

  test.each([
    ['state=odd', /state/],
    ['limit=0', /limit/],
    ['limit=101', /limit/],
    ['limit=x', /limit/],
    ['project_id=1', /project_id/],
    ['sate=pending', /sate/],
    ['cursor=abc', /cursor/],
    [`cursor=${Buffer.from('99999999999999999999 x').toString('base64url')}`, /cursor/],
  ])('%s is refused', async (query, detail) => {
    const answer = await server.get(`/api/tasks?${query}`);
    expect(answer).toMatchObject({
      status: 400,
      body: { error_code: 'invalid_input', detail: expect.stringMatching(detail) as string },
    });
  });

  test('a cursor outside all times gives an empty page, not an error', async () => {
    for (const at of ['-9999999999999999', '9999999999999999']) {
      const cursor = Buffer.from(`${at} ${randomUUID()}`).toString('base64url');
      expect((await server.get(`/api/tasks?cursor=${cursor}`)).status).toBeLessThan(500);
    }
  });
});

describe('a task is cancelled', () => {
  test('at once while it has not started, and a second cancel changes nothing', async () => {
    const { body } = await submit();
    const id = String(body['id']);
    const stopped = await server.post(`/api/tasks/${id}/cancel`, { reason: 'wrong' });
    expect(stopped).toMatchObject({
      status: 200,
      body: { outcome: 'cancelled', task: { state: 'cancelled', actions: ['retry', 'remove'] } },
    });
    const again = await server.post(`/api/tasks/${id}/cancel`);
    expect(again).toMatchObject({ status: 200, body: { outcome: 'already_ended', task: { cancel_reason: 'wrong' } } });
  });

  test('by a stored cancel request, if it is about to run', async () => {
    const { body } = await submit();
    const id = String(body['id']);
    await server.sql`UPDATE tasks SET claimed_at = now() WHERE id = ${id}`;
    const wished = await server.post(`/api/tasks/${id.toUpperCase()}/cancel`, {});
    // No run has its id: no run can be signalled yet.
    expect(wished).toMatchObject({
      status: 202,
      body: { outcome: 'recorded', task: { state: 'pending', actions: [] } },
    });
  });

  test('or refused', async () => {
    const gone = await server.post(`/api/tasks/${randomUUID()}/cancel`);
    expect(gone).toMatchObject({ status: 404, body: { error_code: 'task_not_found' } });
    expect((await server.post('/api/tasks/x/cancel')).status).toBe(400);
    const { body } = await submit();
    const wrong = await server.post(`/api/tasks/${String(body['id'])}/cancel`, { reason: 7 });
    expect(wrong).toMatchObject({ status: 400, body: { error_code: 'invalid_input' } });
    expect(await server.get(`/api/tasks/${String(body['id'])}`)).toMatchObject({ body: { state: 'pending' } });
  });
});

test('an unknown task, and an invalid id', async () => {
  expect(await server.get(`/api/tasks/${randomUUID()}`)).toMatchObject({
    status: 404,
    body: { error_code: 'task_not_found' },
  });
  expect(await server.get('/api/tasks/1')).toMatchObject({ status: 400, body: { error_code: 'invalid_input' } });
});

test('projects outside LONGHAUL_PROJECT_ROOTS are refused by path, by id and by session, behind links, too', async () => {
  const inside = join(server.dir, 'inside');
  await mkdir(inside);
  await symlink(server.repository, join(inside, 'link'));
  const bounded = await server.another({ projectRoots: [inside] });
  const { body } = await submit();
  const [session] = await server.sql<{ id: string }[]>`
    INSERT INTO sessions (project_id) VALUES (${String(body['project_id'])}) RETURNING id`;
  const places = [
    { project_path: server.repository },
    { project_path: join(inside, 'link') },
    { project_id: body['project_id'] },
    { session_id: session?.id },
  ];
  for (const place of places) {
    const answer = await bounded.post('/api/tasks', { ...place, agent: 'demo', input: 'x' });
    expect(answer).toMatchObject({ status: 422, body: { error_code: 'project_outside_roots' } });
  }
});
