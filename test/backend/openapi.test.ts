import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { Validator } from '@seriousme/openapi-schema-validator';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { packageVersion } from '../../processes/package-version.ts';
import { append, delta, labSession } from '../lab/log.ts';
import { Documented } from './documented.ts';
import { type LabServer, startServer } from './lab.ts';

let server: LabServer;
let document: Record<string, unknown>;
beforeAll(async () => {
  server = await startServer();
  ({ body: document } = await server.get('/api/openapi.json'));
});
afterAll(() => server.close());

test('the document is valid OpenAPI 3.1', async () => {
  expect(document['openapi']).toBe('3.1.0');
  const validator = new Validator();
  expect(await validator.validate(structuredClone(document))).toEqual({ valid: true });
  expect(validator.version).toBe('3.1');
  // The validator is one that refuses.
  const broken = { ...structuredClone(document), paths: { '/x': { get: { responses: { 200: {} } } } } };
  expect(await new Validator().validate(broken)).toMatchObject({ valid: false });
});

test('it lists every operation with its possible problems', () => {
  const { paths, components } = new Documented(document).document;
  const operations = Object.entries(paths).flatMap(([path, methods]) =>
    Object.keys(methods).map((method) => `${method} ${path}`),
  );
  expect(operations.sort()).toEqual(
    [
      'get /api/agents',
      'get /api/agents/{name}/diagnostic',
      'get /api/changes',
      'get /api/changes/{id}',
      'get /api/changes/{id}/patch',
      'get /api/permissions',
      'get /api/permissions/{id}',
      'get /api/projects',
      'get /api/rules',
      'get /api/sessions',
      'get /api/sessions/{id}',
      'get /api/sessions/{id}/chats',
      'get /api/sessions/{id}/frames',
      'get /api/sessions/{id}/queue',
      'get /api/tasks',
      'get /api/tasks/{id}',
      'get /api/tasks/{id}/recording',
      'get /healthz',
      'get /metrics',
      'get /readyz',
      'delete /api/rules/{id}',
      'delete /api/tasks/{id}',
      'patch /api/agents/{name}',
      'patch /api/sessions/{id}/queue',
      'patch /api/tasks/{id}',
      'post /api/agents/{name}/refresh',
      'post /api/changes/{id}/apply',
      'post /api/changes/{id}/reject',
      'post /api/changes/{id}/undo',
      'post /api/permissions/{id}/answer',
      'post /api/projects',
      'post /api/rules',
      'post /api/tasks',
      'post /api/tasks/{id}/cancel',
      'post /api/sessions/{id}/chats',
      'post /api/sessions/{id}/send',
      'post /api/tasks/{id}/dequeue',
      'post /api/tasks/{id}/move',
      'post /api/tasks/{id}/reply',
      'post /api/tasks/{id}/retry',
    ].sort(),
  );
  for (const [path, methods] of Object.entries(paths)) {
    for (const [method, { responses, summary }] of Object.entries(methods)) {
      expect(summary).not.toBe('');
      const open = path === '/healthz' || path === '/readyz';
      for (const status of open ? [400, 403, 500, 503] : [400, 401, 403, 429, 500, 503]) {
        expect([method, path, Object.keys(responses)]).toEqual([
          method,
          path,
          expect.arrayContaining([String(status)]),
        ]);
      }
    }
  }
  expect(
    Object.keys(components.schemas)
      .filter((name) => name.endsWith('Input'))
      .sort(),
  ).toEqual(['AgentChangeInput', 'FollowUpInput', 'NewPermissionRuleInput', 'NewProjectInput', 'NewTaskInput']);
  expect(document['info']).toMatchObject({ title: 'Longhaul', version: packageVersion() });
  expect(document['security']).toEqual([{ token: [] }]);
});

test('each operation has a unique, stable name', () => {
  const { paths } = new Documented(document).document;
  const names = Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, { operationId }]) => [`${method} ${path}`, operationId]),
  );
  // Generated clients call their functions so: added to, never renamed.
  expect(Object.fromEntries(names)).toEqual({
    'delete /api/rules/{id}': 'removePermissionRule',
    'delete /api/tasks/{id}': 'removeTask',
    'get /api/agents': 'listAgents',
    'get /api/agents/{name}/diagnostic': 'getAgentDiagnostic',
    'get /api/changes': 'listChanges',
    'get /api/changes/{id}': 'getChange',
    'get /api/changes/{id}/patch': 'getChangePatch',
    'get /api/permissions': 'listPermissions',
    'get /api/permissions/{id}': 'getPermission',
    'get /api/projects': 'listProjects',
    'get /api/rules': 'listPermissionRules',
    'get /api/sessions': 'listSessions',
    'get /api/sessions/{id}': 'getSession',
    'get /api/sessions/{id}/frames': 'followFrames',
    'get /api/tasks': 'listTasks',
    'get /api/tasks/{id}': 'getTask',
    'get /api/tasks/{id}/recording': 'getTaskRecording',
    'get /healthz': 'getHealth',
    'get /metrics': 'getMetrics',
    'get /readyz': 'getReadiness',
    'patch /api/agents/{name}': 'updateAgent',
    'post /api/agents/{name}/refresh': 'refreshAgent',
    'post /api/changes/{id}/apply': 'applyChange',
    'post /api/changes/{id}/reject': 'rejectChange',
    'post /api/changes/{id}/undo': 'undoChange',
    'post /api/permissions/{id}/answer': 'answerPermission',
    'post /api/projects': 'addProject',
    'post /api/rules': 'addPermissionRule',
    'post /api/tasks': 'createTask',
    'post /api/tasks/{id}/cancel': 'cancelTask',
    'post /api/tasks/{id}/retry': 'retryTask',
    'get /api/sessions/{id}/chats': 'listChats',
    'get /api/sessions/{id}/queue': 'getQueue',
    'patch /api/sessions/{id}/queue': 'changeQueue',
    'patch /api/tasks/{id}': 'editTask',
    'post /api/sessions/{id}/chats': 'createChat',
    'post /api/sessions/{id}/send': 'sendToSession',
    'post /api/tasks/{id}/dequeue': 'dequeueTask',
    'post /api/tasks/{id}/move': 'moveTask',
    'post /api/tasks/{id}/reply': 'replyToTask',
  });
});

test('a body is required where a request without one is refused, and only there', async () => {
  const { paths } = new Documented(document).document;
  const bodies = Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).flatMap(([method, { requestBody }]) =>
      requestBody ? [{ path, method: method.toUpperCase(), required: requestBody.required }] : [],
    ),
  );
  expect(bodies).toHaveLength(15);
  for (const { path, method, required } of bodies) {
    const { status } = await server.ask(path.replace(/\{\w+\}/, '00000000-0000-4000-8000-000000000000'), { method });
    expect([path, required]).toEqual([path, status === 400]);
  }
});

test('its frame schemas match docs/frames.md and the frames that a socket sends', async () => {
  const documented = new Documented(document);
  const page = await readFile(new URL('../../docs/frames.md', import.meta.url), 'utf8');
  const [, table = ''] = page.split('\n| type | further fields |');
  const types = (table.split('\n\n', 1)[0] ?? '').split('\n').flatMap((row) => [...(row.split('|')[1] ?? '').matchAll(/`(\w+)`/g)].map(([, type = '']) => type)); // prettier-ignore
  const names = types.map((type) => `${type.replaceAll(/(^|_)([a-z])/g, (_, _gap, letter: string) => letter.toUpperCase())}Frame`); // prettier-ignore
  expect(types).toContain('delta');
  expect(Object.keys(documented.document.components.schemas).filter((name) => name.endsWith('Frame') && name !== 'Frame').sort()).toEqual(names.sort()); // prettier-ignore

  const message = await labSession(server.sql);
  const ofMessage = { message_id: message.messageId, chat_id: message.chatId };
  const call = { tool_call_id: '1', title: 'Edit', kind: 'edit', status: 'completed', locations: [], content: [] } as const; // prettier-ignore
  await append(server.sql, message, [
    { type: 'message_started', role: 'assistant', ...ofMessage },
    delta(message, 'a'),
    { type: 'tool_call', call, ...ofMessage },
    { type: 'plan', entries: [{ content: 'x', priority: 'high', status: 'pending' }], ...ofMessage },
    { type: 'usage', usage: { total_tokens: 3 } },
    { type: 'warning', message: 'careful' },
  ]);
  const frames = async (after: string): Promise<unknown> => {
    const socket = new WebSocket(`${server.url.replace('http', 'ws')}/api/sessions/${message.sessionId}/frames${after}`, [`longhaul.bearer.${server.token}`]); // prettier-ignore
    const [data] = (await once(socket, 'message')) as [Buffer];
    socket.terminate();
    return JSON.parse(data.toString());
  };
  const sent = { method: 'GET', path: `/api/sessions/${message.sessionId}/frames`, status: 101, contentType: 'application/json' }; // prettier-ignore
  documented.check({ ...sent, body: await frames('') });
  const logged = await frames('?after=0');
  documented.check({ ...sent, body: logged });
  expect(() => documented.check({ ...sent, body: [{ type: 'delta', seq: 'x' }] })).toThrow(/not as documented/);
  expect(logged).toHaveLength(6);
});

test('a response that differs from the document is detected', () => {
  const documented = new Documented(document);
  const agents = { method: 'GET', path: '/api/agents', status: 200, contentType: 'application/json' };
  documented.check({ ...agents, body: { items: [] } });
  expect(() => documented.check({ ...agents, body: { items: [{ name: 1 }] } })).toThrow(/not as documented/);
  expect(() => documented.check({ ...agents, status: 418, body: {} })).toThrow(/not in the document/);
});
