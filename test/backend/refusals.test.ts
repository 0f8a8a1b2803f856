/** What is refused: parameters that a path does not know; and each refusal is found in the log by its request id. */
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { type LabServer, startServer } from './lab.ts';
import { exchange, requestText, silent } from './raw-http.ts';

let server: LabServer;
beforeAll(async () => {
  server = await startServer();
});
afterAll(() => server.close());

const BODIES: Readonly<Record<string, object>> = {
  '/api/tasks': { session_id: randomUUID(), agent: 'demo', input: 'x' },
  '/api/tasks/{id}': { input: 'x' },
  '/api/tasks/{id}/move': { place: 1 },
  '/api/tasks/{id}/reply': { input: 'x' },
  '/api/sessions/{id}/send': { input: 'x' },
  '/api/sessions/{id}/chats': { name: 'x' },
  '/api/sessions/{id}/queue': { held: true },
  '/api/projects': { path: '/' },
  '/api/rules': { session_id: randomUUID(), effect: 'allow', tool_kind: 'read' },
  '/api/permissions/{id}/answer': { answer: '1' },
  '/api/changes/{id}/apply': {},
  '/api/changes/{id}/undo': {},
  '/api/changes/{id}/reject': {},
  '/api/agents/{name}': { enabled: true },
};

describe('an unknown query parameter', () => {
  test('is refused by each operation, and the response names the known ones', async () => {
    const { paths } = server.documented.document;
    const operations = Object.entries(paths).flatMap(([path, methods]) =>
      Object.entries(methods).map(([method, { parameters }]) => ({ path, method: method.toUpperCase(), parameters })),
    );
    for (const { path, method, parameters } of operations.filter(
      (one) => one.path.startsWith('/api/') && !one.path.endsWith('/frames'),
    )) {
      const known = parameters.filter((one) => one.in === 'query').map(({ name }) => name);
      const body = BODIES[path] ?? {};
      const init = { method, ...(method === 'POST' || method === 'PATCH' ? { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } } : {}) }; // prettier-ignore
      const answer = await server.ask(`${path.replace(/\{\w+\}/, randomUUID())}?sate=1`, init);
      const detail = `querystring: unknown parameter "sate"; known: ${known.join(', ') || 'none'}`;
      expect([method, path, answer.status, answer.body['detail']]).toEqual([method, path, 400, detail]);
    }
  });

  test('ends a socket', async () => {
    const url = `${server.url.replace('http', 'ws')}/api/sessions/${randomUUID()}/frames?afer=1`;
    const socket = new WebSocket(url, [`longhaul.bearer.${server.token}`]);
    const [code, reason] = (await once(socket, 'close')) as [number, Buffer];
    expect([code, reason.toString()]).toEqual([4400, 'invalid_input: unknown parameter; known: after']);
  });
});

describe('a refusal is in the log under its request id:', () => {
  interface Line {
    readonly level: number;
    readonly request_id?: string;
    readonly error_code?: string;
  }
  const linesOf = (id: unknown): Line[] =>
    server.log.map((line) => JSON.parse(line) as Line).filter(({ request_id }) => request_id === id);
  const INFO = 30;

  const raw: readonly [string, string, () => Buffer][] = [
    ['no HTTP', 'invalid_input', () => Buffer.from('garbage\r\n\r\n')],
    ['too large headers', 'headers_too_large', () => requestText('GET / HTTP/1.1', ['Host: x', `X: ${'x'.repeat(20_000)}`])],
    ['a proxy', 'method_not_allowed', () => requestText('CONNECT example.com:443 HTTP/1.1', ['Host: localhost'])],
    ['no Host', 'invalid_input', () => requestText('GET /healthz HTTP/1.1', ['Connection: close'])],
    ['no token', 'unauthorized', () => requestText('GET /api/tasks HTTP/1.1', ['Host: localhost', 'Connection: close'])],
    ['a malformed handshake', 'invalid_input', () => requestText(`GET /api/sessions/${randomUUID()}/frames HTTP/1.1`, ['Host: localhost', `Authorization: Bearer ${server.token}`, 'Connection: Upgrade', 'Upgrade: websocket', 'Sec-WebSocket-Version: 99'])],
    ['a path that cannot be read', 'unauthorized', () => requestText('GET /% HTTP/1.1', ['Host: localhost', 'Connection: close'])],
    ['a body that is no JSON', 'invalid_input', () => requestText('POST /api/tasks HTTP/1.1', ['Host: localhost', `Authorization: Bearer ${server.token}`, 'Content-Type: application/json', 'Content-Length: 1', 'Connection: close'], '{')],
  ]; // prettier-ignore
  test.each(raw)('%s', async (_name, error_code, bytes) => {
    const [answer] = (await exchange({ url: server.url, bytes: bytes() })).answers;
    const problem = JSON.parse(answer?.body ?? '') as { request_id: string; error_code: string };
    expect(problem.error_code).toBe(error_code);
    const lines = linesOf(problem.request_id);
    expect(lines).toContainEqual(expect.objectContaining({ error_code }));
    for (const { level } of lines) expect(level).toBeGreaterThanOrEqual(INFO);
  });

  test('a connection too many', async () => {
    const bounded = await server.another({ connections: { proven: 0, unproven: 1 } });
    const first = await silent(bounded.url);
    let said = '';
    first.on('data', (chunk: Buffer) => (said += chunk.toString()));
    const second = await silent(bounded.url);
    await once(first, 'close');
    second.destroy();
    const { request_id } = JSON.parse(said.split('\r\n\r\n')[1] ?? '') as { request_id: string };
    expect(bounded.log.join('')).toContain(request_id);
  });

  test('and a token in a wrong place is not logged', async () => {
    await server.get(`/api/agents?${server.token}=1`);
    await server.get(`/api/tasks?state=${server.token}`);
    expect(server.log.join('')).not.toContain(server.token);
  });
});
