import { randomUUID } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { append, delta, labSession } from '../lab/log.ts';
import { DIFF_CUT_LINE } from '../../contract/vocabulary.ts';
import { type LabServer, startServer } from './lab.ts';

let server: LabServer;
beforeAll(async () => {
  server = await startServer();
});
afterAll(() => server.close());

const items = (body: Record<string, unknown>) => body['items'] as Record<string, unknown>[];

async function repository(name: string): Promise<string> {
  const path = join(server.dir, name);
  await mkdir(join(path, '.git'), { recursive: true });
  await writeFile(join(path, '.git', 'HEAD'), 'ref: refs/heads/main\n');
  return path;
}

/** Every page of a list, one item each. */
async function allOf(path: string): Promise<Record<string, unknown>[]> {
  const all: Record<string, unknown>[] = [];
  for (let cursor: unknown = ''; typeof cursor === 'string';) {
    const { body } = await server.get(`${path}?limit=1${cursor ? `&cursor=${cursor}` : ''}`);
    all.push(...items(body));
    cursor = body['next_cursor'];
  }
  return all;
}

describe('projects', () => {
  test('are added once, keep their name, and are listed newest first', async () => {
    const [one, two] = [await repository('one'), await repository('two')];
    const added = await server.post('/api/projects', { path: one });
    expect(added).toMatchObject({ status: 201, body: { name: 'one', path: one } });
    const again = await server.post('/api/projects', { path: one, name: 'other' });
    expect(again).toMatchObject({ status: 200, body: added.body });
    const named = await server.post('/api/projects', { path: two, name: 'Second' });
    expect(named).toMatchObject({ status: 201, body: { name: 'Second' } });
    expect(await allOf('/api/projects')).toEqual([named.body, added.body]);
  });

  test.each([
    ['no path', {}, 400, 'invalid_input'],
    ['a relative path', { path: 'x' }, 400, 'invalid_input'],
    ['a NUL in the path', { path: '/a\0b' }, 400, 'invalid_input'],
    ['a path that does not exist', { path: '/nonexistent' }, 422, 'project_missing'],
    ['no repository', { path: '/' }, 422, 'not_a_repository'],
    ['a path that is far too long for the disk', { path: `/${'x'.repeat(4_000)}` }, 422, 'project_missing'],
  ])('%s is refused', async (_name, body, status, error_code) => {
    expect(await server.post('/api/projects', body)).toMatchObject({ status, body: { error_code } });
  });

  test('outside LONGHAUL_PROJECT_ROOTS are refused', async () => {
    const bounded = await server.another({ projectRoots: [join(server.dir, 'elsewhere')] });
    const answer = await bounded.post('/api/projects', { path: await repository('three') });
    expect(answer).toMatchObject({ status: 422, body: { error_code: 'project_outside_roots' } });
  });

  test('a page that does not exist', async () => {
    expect(await server.get('/api/projects?cursor=x')).toMatchObject({
      status: 400,
      body: { error_code: 'invalid_input' },
    });
  });
});

describe('agents', () => {
  test('are listed by name, whichever program added them', async () => {
    await server.sql`INSERT INTO available_agents (name, supports_acp, install_path) VALUES ('aider', NULL, '/opt/aider')`;
    expect(await server.get('/api/agents')).toMatchObject({
      status: 200,
      body: {
        items: [
          { name: 'aider', supports_acp: null, install_path: '/opt/aider', listed_by: null },
          { name: 'demo', supports_acp: true, install_path: null, listed_by: null },
          { name: 'native', supports_acp: null, install_path: null, listed_by: null, transport: 'native' },
        ],
      },
    });
  });
});

describe('sessions', () => {
  test('a change that builds on another names the task of the other', async () => {
    const { sessionId, taskId: first } = await labSession(server.sql);
    const second = randomUUID();
    await server.sql`INSERT INTO tasks (id, project_id, input, session_id) VALUES (${second}, ${randomUUID()}, 'x', ${sessionId})`;
    await server.sql`
      INSERT INTO pending_changes (session_id, task_id, base_commit, result_commit, created_at)
      VALUES (${sessionId}, ${first}, 'a', 'b', now() - interval '1 minute'), (${sessionId}, ${second}, 'b', 'c', now())`;
    const { body } = await server.get(`/api/sessions/${sessionId}`);
    expect(body['changes']).toMatchObject([
      { task_id: first, builds_on: null },
      { task_id: second, builds_on: first },
    ]);
    expect(await server.get(`/api/tasks/${second}`)).toMatchObject({ body: { change: { builds_on: first } } });
  });

  test('are listed with the position of their log and their open tasks', async () => {
    const message = await labSession(server.sql);
    const project_id = randomUUID();
    await server.sql`UPDATE sessions SET project_id = ${project_id} WHERE id = ${message.sessionId}`;
    await append(server.sql, message, [delta(message, 'a'), delta(message, 'b')]);
    const { body } = await server.get(`/api/sessions?project_id=${project_id}`);
    expect(body).toMatchObject({
      items: [{ id: message.sessionId, project_id, seq: 2, open_tasks: 1, status: 'open' }],
      next_cursor: null,
    });
    await labSession(server.sql);
    expect((await allOf('/api/sessions')).map(({ id }) => id)).toContain(message.sessionId);
  });

  test('one has its timeline, with the unfinished message, and the number of the frame that it corresponds to', async () => {
    const message = await labSession(server.sql);
    const of = { message_id: message.messageId, chat_id: message.chatId };
    const call = { tool_call_id: 't', title: 'Edit', kind: 'edit', locations: [], content: [] };
    await append(server.sql, message, [
      { type: 'message_started', ...of, role: 'assistant' },
      delta(message, 'Hel'),
      delta(message, 'lo'),
      { type: 'tool_call', ...of, call: { ...call, status: 'in_progress' } },
      { type: 'tool_call', ...of, call: { ...call, status: 'completed' } },
      { type: 'plan', ...of, entries: [{ content: 'one', priority: 'low', status: 'pending' }] },
      { type: 'task_state', state: 'running', phase: 'starting', attempt: 2, error_code: 'worker_lost' },
      delta(message, '\n\nthere'),
    ]);
    await server.sql`INSERT INTO pending_changes (session_id, task_id, files) VALUES (${message.sessionId}, ${message.taskId}, '[{}]')`;
    const { status, body } = await server.get(`/api/sessions/${message.sessionId}`);
    expect(status).toBe(200);
    expect(body).toMatchObject({
      session: { id: message.sessionId, name: 'lab' },
      seq: 8,
      messages: [
        {
          message_id: message.messageId,
          role: 'assistant',
          status: 'streaming',
          content: 'Hello\n\nthere',
          total_chars: 12,
          segments: [
            { type: 'text', text: 'Hello', seq: 2, ended_seq: 3 },
            { type: 'tool_call', tool_call_id: 't', title: 'Edit', seq: 4, ended_seq: 5 },
            { type: 'plan', entries: [{ content: 'one' }], seq: 6 },
            { type: 'attempt', attempt: 2, error_code: 'worker_lost', seq: 7 },
            { type: 'text', text: '\n\nthere', seq: 8 },
          ],
        },
      ],
      tasks: [{ task_id: message.taskId, state: 'running' }],
      changes: [{ task_id: message.taskId, files: 1 }],
      permissions: [],
    });
  });

  test('an unknown one, an invalid id, a page that does not exist', async () => {
    expect(await server.get(`/api/sessions/${randomUUID()}`)).toMatchObject({
      status: 404,
      body: { error_code: 'session_not_found' },
    });
    expect(await server.get('/api/sessions/x')).toMatchObject({ status: 400 });
    expect(await server.get('/api/sessions?limit=-1')).toMatchObject({ status: 400 });
  });
});

describe('changes', () => {
  test('are listed by state, session and task, and shown with their complete diff', async () => {
    const message = await labSession(server.sql);
    const [pending, other] = [randomUUID(), randomUUID()];
    await server.sql`
      INSERT INTO pending_changes (id, session_id, task_id, file_path, operation, diff, files, additions, deletions, ignored_files)
      VALUES (${pending}, ${message.sessionId}, ${message.taskId}, '/p', 'edit', '+x', '[{"path": "x"}]', 1, 0, '["log"]')`;
    await server.sql`INSERT INTO pending_changes (id, session_id, state) VALUES (${other}, ${message.sessionId}, 'rejected')`;
    const listed = await server.get(`/api/changes?state=pending&session_id=${message.sessionId}`);
    expect(items(listed.body)).toMatchObject([
      { id: pending, files: 1, additions: 1, actions: ['apply', 'reject'], partial: false },
    ]);
    expect(items(listed.body)[0]).not.toHaveProperty('diff');
    expect(items((await server.get(`/api/changes?task_id=${message.taskId}`)).body)).toHaveLength(1);
    const all = await allOf('/api/changes');
    expect(all.map(({ id }) => id)).toEqual(expect.arrayContaining([pending, other]));
    expect(await server.get(`/api/changes/${pending}`)).toMatchObject({
      status: 200,
      body: {
        id: pending,
        diff: '+x',
        files: [{ path: 'x' }],
        ignored_files: ['log'],
        state: 'pending',
        actions: ['apply', 'reject'],
        decisions: [],
        provenance: { prompt: expect.any(String) as string, attempts: 0, tool_calls: 0, permissions: [] },
      },
    });
    expect((await server.get(`/api/changes/${pending}`)).body['diff_truncated']).toBe(false);
    // As another program may have written it.
    expect(await server.get(`/api/changes/${other}`)).toMatchObject({ status: 200, body: { diff: '', files: [] } });
  });

  test('a cut diff is marked as cut, and the patch is returned byte for byte', async () => {
    const patch = Buffer.from([0x2b, 0xe9, 0x00, 0x0a]);
    const [change] = await server.sql<{ id: string }[]>`
      INSERT INTO pending_changes (diff, patch) VALUES (${`+x\n${DIFF_CUT_LINE}\n`}, ${patch}) RETURNING id`;
    expect((await server.get(`/api/changes/${change?.id}`)).body['diff_truncated']).toBe(true);
    const answer = await fetch(`${server.url}/api/changes/${change?.id}/patch`, {
      headers: { authorization: `Bearer ${server.token}` },
    });
    expect(answer.headers.get('content-type')).toBe('application/octet-stream');
    expect(Buffer.from(await answer.arrayBuffer())).toEqual(patch);
    expect(await server.get(`/api/changes/${randomUUID()}/patch`)).toMatchObject({
      status: 404,
      body: { error_code: 'change_not_found' },
    });
  });

  test('are listed by project, also if the task was deleted', async () => {
    const message = await labSession(server.sql);
    const project_id = randomUUID();
    await server.sql`UPDATE sessions SET project_id = ${project_id} WHERE id = ${message.sessionId}`;
    await server.sql`INSERT INTO pending_changes (session_id) VALUES (${message.sessionId})`;
    expect(items((await server.get(`/api/changes?project_id=${project_id}`)).body)).toHaveLength(1);
  });

  test('an unknown one, an invalid id, an unknown filter', async () => {
    expect(await server.get(`/api/changes/${randomUUID()}`)).toMatchObject({
      status: 404,
      body: { error_code: 'change_not_found' },
    });
    expect(await server.get('/api/changes/x')).toMatchObject({ status: 400 });
    expect(await server.get('/api/changes?status=pending')).toMatchObject({ status: 400 });
    expect(await server.get('/api/changes?state=peding')).toMatchObject({ status: 400 });
  });
});

describe('paths', () => {
  test('that no route serves, and methods that a path does not accept', async () => {
    expect(await server.get('/api/nothing?token=x')).toMatchObject({
      status: 404,
      body: { error_code: 'route_not_found', detail: 'The path /api/nothing does not exist; see /api/openapi.json.' },
    });
    const wrong = await server.ask('/api/tasks', { method: 'DELETE' });
    expect(wrong).toMatchObject({ status: 405, body: { error_code: 'method_not_allowed' } });
    expect(wrong.headers.get('allow')?.split(', ').sort()).toEqual(['GET', 'HEAD', 'POST']);
    const one = await server.ask(`/api/tasks/${randomUUID()}`, { method: 'PUT' });
    expect(one).toMatchObject({ status: 405 });
  });

  test('that are malformed', async () => {
    const paths = [
      ['/api/tasks/%E0%A4%A', 'invalid_input'],
      ['/%', 'route_not_found'],
      [`/api/tasks/${'x'.repeat(3_000)}`, 'invalid_input'],
    ] as const;
    for (const [path, code] of paths) {
      const answer = await server.get(path);
      expect(answer.status).toBeGreaterThanOrEqual(400);
      expect(answer.status).toBeLessThan(500);
      expect(answer.headers.get('content-type')).toBe('application/problem+json');
      expect(answer.body['error_code']).toBe(code);
    }
  });
});

test('a request keeps its id, unless that is unsafe in a log', async () => {
  const kept = await server.get('/api/agents', { 'x-request-id': 'trace-1.2' });
  expect(kept.headers.get('x-request-id')).toBe('trace-1.2');
  const other = await server.get('/api/agents', { 'x-request-id': 'a b' });
  expect(other.headers.get('x-request-id')).toMatch(/^[\da-f-]{36}$/);
});

test.each(['/healthz?x=1', '/readyz?x=1&x=2', '/metrics?collect[]=cpu'])(
  '%s is served, because load balancers and scrapers append parameters',
  async (path) => {
    expect(await server.get(path)).toMatchObject({ status: 200 });
  },
);
