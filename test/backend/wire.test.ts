/** Malformed and aborted requests: each gets a problem document and a line in the log. */
import { randomUUID } from 'node:crypto';
import { METHODS } from 'node:http';
import { networkInterfaces } from 'node:os';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { hostRule } from '../../backend/access.ts';
import { type LabServer, startServer } from './lab.ts';
import { exchange, type RawAnswer, requestText } from './raw-http.ts';

let server: LabServer;
beforeAll(async () => {
  server = await startServer();
});
afterAll(() => server.close());

const HOST = 'Host: localhost';
const JSON_TYPE = 'Content-Type: application/json';
const bearer = () => `Authorization: Bearer ${server.token}`;
const HANDSHAKE = ['Connection: Upgrade', 'Upgrade: websocket', 'Sec-WebSocket-Version: 13', 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==']; // prettier-ignore

function problemIn({ status, headers, body }: RawAnswer): Record<string, unknown> {
  expect([headers['content-type'], headers['x-request-id']]).toEqual(['application/problem+json', expect.any(String)]);
  const problem = JSON.parse(body) as Record<string, unknown>;
  expect(problem).toMatchObject({ type: 'about:blank', status, request_id: headers['x-request-id'] });
  return problem;
}

/** The only answer, after which the server has ended the connection in order. */
async function onlyAnswer(bytes: Buffer | string): Promise<RawAnswer> {
  const { answers, error } = await exchange({ url: server.url, bytes });
  expect([error, answers.length]).toEqual([undefined, 1]);
  return answers[0] as RawAnswer;
}

describe('bytes that are no HTTP request', () => {
  const post = (...headers: string[]) => ['POST /api/tasks HTTP/1.1', [HOST, JSON_TYPE, ...headers]] as const;
  const cases: readonly [string, () => Buffer, number, string][] = [
    ['no HTTP at all', () => Buffer.from('garbage\r\n\r\n'), 400, 'invalid_input'],
    ['a TLS handshake', () => Buffer.from('\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03', 'latin1'), 400, 'invalid_input'],
    ['an unknown method', () => requestText('FOO / HTTP/1.1', [HOST]), 400, 'invalid_input'],
    ['headers that are too large', () => requestText('GET / HTTP/1.1', [HOST, `X: ${'x'.repeat(20_000)}`]), 431, 'headers_too_large'],
    ['headers that are far too large', () => requestText('GET / HTTP/1.1', [HOST, `X: ${'x'.repeat(3_000_000)}`]), 431, 'headers_too_large'],
    ['a target that is too long', () => requestText(`GET /${'x'.repeat(20_000)} HTTP/1.1`, [HOST]), 431, 'headers_too_large'],
    ['two lengths', () => requestText(...post('Content-Length: 2', 'Content-Length: 3'), '{}'), 400, 'invalid_input'],
    ['a length and chunks', () => requestText(...post('Content-Length: 2', 'Transfer-Encoding: chunked'), '{}'), 400, 'invalid_input'],
    ['a chunk without its size', () => requestText(...post(bearer(), 'Transfer-Encoding: chunked'), 'zz\r\n'), 400, 'invalid_input'],
    ['no Host', () => requestText('GET /healthz HTTP/1.1', ['Connection: close']), 400, 'invalid_input'],
    ['two of them', () => requestText('GET /healthz HTTP/1.1', [HOST, 'Host: evil.example', 'Connection: close']), 400, 'invalid_input'],
    ['a request to a proxy', () => requestText('CONNECT example.com:443 HTTP/1.1', [HOST]), 405, 'method_not_allowed'],
  ]; // prettier-ignore
  test.each(cases)('%s get a problem document', async (_name, bytes, status, error_code) => {
    const answer = await onlyAnswer(bytes());
    expect([answer.status, problemIn(answer)['error_code']]).toEqual([status, error_code]);
    expect(answer.headers['connection']).toBe('close');
  });

  test('the response comes after those to earlier requests of the connection', async () => {
    const { answers } = await exchange({
      url: server.url,
      bytes: Buffer.concat([requestText('GET /api/agents HTTP/1.1', [HOST, bearer()]), Buffer.from('garbage\r\n\r\n')]),
    });
    expect(answers.map(({ status }) => status)).toEqual([200, 400]);
  });

  test('an incomplete body is not reported as an outage of Postgres', async () => {
    const before = server.log.length;
    await onlyAnswer(requestText(...post(bearer(), 'Transfer-Encoding: chunked'), '5\r\n{"inp\r\nzz\r\n'));
    await server.get('/api/agents');
    expect(server.log.slice(before).filter((line) => line.includes('service_unreachable'))).toEqual([]);
  });
});

describe('a response that is sent before the request is complete', () => {
  const MUCH = 30_000_000;
  const body = Buffer.alloc(MUCH, 'x');
  const line = 'POST /api/tasks HTTP/1.1';
  const chunked = Buffer.concat([Buffer.from(`${MUCH.toString(16)}\r\n`), body, Buffer.from('\r\n0\r\n\r\n')]);
  test.each<[string, () => Buffer, number]>([
    ['too much', () => requestText(line, [HOST, bearer(), JSON_TYPE, `Content-Length: ${MUCH}`], body), 413],
    ['too much, and the last request', () => requestText(line, [HOST, bearer(), JSON_TYPE, 'Connection: close', `Content-Length: ${MUCH}`], body), 413],
    ['too much in chunks', () => requestText(line, [HOST, bearer(), JSON_TYPE, 'Transfer-Encoding: chunked'], chunked), 413],
    ['much without the token', () => requestText(line, [HOST, JSON_TYPE, 'Connection: close', `Content-Length: ${MUCH}`], body), 401],
    ['much of another type', () => requestText(line, [HOST, bearer(), 'Connection: close', `Content-Length: ${MUCH}`], body), 415],
    ['much to nowhere', () => requestText('POST /api/x HTTP/1.1', [HOST, bearer(), JSON_TYPE, 'Connection: close', `Content-Length: ${MUCH}`], body), 404],
  ])('%s: a client that sends everything first hears it', async (_name, bytes, status) => {
    const answer = await onlyAnswer(bytes());
    problemIn(answer);
    expect(answer.status).toBe(status);
  }); // prettier-ignore
});

describe('methods', () => {
  const id = randomUUID();
  const paths = ['/api/tasks', `/api/tasks/${id}/cancel`, `/api/sessions/${id}/frames`, '/api/openapi.json', '/healthz', '/readyz', '/metrics']; // prettier-ignore
  test.each(paths)('%s lists its methods in the response to another one', async (path) => {
    const takes = path.endsWith('/cancel')
      ? ['POST']
      : path === '/api/tasks'
        ? ['GET', 'HEAD', 'POST']
        : ['GET', 'HEAD'];
    // HEAD is answered without a body, CONNECT elsewhere.
    for (const method of METHODS.filter((one) => !['CONNECT', 'HEAD', ...takes].includes(one))) {
      const answer = await onlyAnswer(requestText(`${method} ${path} HTTP/1.1`, [HOST, bearer(), 'Connection: close']));
      expect([method, answer.status]).toEqual([method, 405]);
      expect(problemIn(answer)['error_code']).toBe('method_not_allowed');
      expect(answer.headers['allow']?.split(', ').sort()).toEqual(takes);
    }
  });
});

describe('a handshake', () => {
  test.each(['/api/agents', '/api/tasks', '/healthz', '/metrics', '/api/openapi.json'])(
    'at %s, which is no socket, is refused at once',
    async (path) => {
      const answer = await onlyAnswer(requestText(`GET ${path} HTTP/1.1`, [HOST, bearer(), ...HANDSHAKE]));
      expect(answer.status).toBe(400);
      expect(problemIn(answer)['detail']).toContain('is no WebSocket');
    },
  );

  test('at an unknown path is refused as any request', async () => {
    const answer = await onlyAnswer(requestText('GET /api/nothing HTTP/1.1', [HOST, bearer(), ...HANDSHAKE]));
    expect([answer.status, problemIn(answer)['error_code']]).toEqual([404, 'route_not_found']);
  });

  test.each([
    ['of another version', HANDSHAKE.map((line) => line.replace('13', '99'))],
    ['without a key', HANDSHAKE.slice(0, 3)],
  ])('%s is refused with a problem document', async (_name, headers) => {
    const answer = await onlyAnswer(requestText(`GET /api/sessions/${randomUUID()}/frames HTTP/1.1`, [HOST, bearer(), ...headers])); // prettier-ignore
    expect([answer.status, problemIn(answer)['error_code']]).toEqual([400, 'invalid_input']);
    expect(answer.headers['sec-websocket-version']).toBe('13');
  });

  test('that is malformed: the response says that the path is a socket', async () => {
    const answer = await onlyAnswer(requestText(`GET /api/sessions/${randomUUID()}/frames HTTP/1.1`, [HOST, bearer(), 'Connection: close'])); // prettier-ignore
    expect([answer.status, problemIn(answer)['error_code']]).toEqual([426, 'invalid_input']);
    expect(answer.headers['upgrade']).toBe('websocket');
  });

  test('malformed frames close the socket with 1002 and are not logged as an error of the backend', async () => {
    const handshake = requestText(`GET /api/sessions/${randomUUID()}/frames HTTP/1.1`, [HOST, bearer(), ...HANDSHAKE]);
    const before = server.log.length;
    // Reserved bits, not masked, an opcode that there is not.
    const { answers } = await exchange({ url: server.url, bytes: Buffer.concat([handshake, Buffer.from([0xff, 0x7f, 0xff, 0xff])]) }); // prettier-ignore
    expect(answers[0]?.status).toBe(101);
    await server.get('/api/agents');
    const levels = server.log.slice(before).map((line) => (JSON.parse(line) as { level: number }).level);
    expect(levels.filter((level) => level > 30)).toEqual([]);
  });

  test('an upgrade to another protocol is ignored, and the request is served with its body', async () => {
    const offer = ['Connection: Upgrade, HTTP2-Settings', 'Upgrade: h2c', 'HTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA'];
    const body = JSON.stringify({ project_path: server.repository, agent: 'demo', input: 'ä' });
    const post = [HOST, bearer(), ...offer, JSON_TYPE, `Content-Length: ${Buffer.byteLength(body)}`];
    const { answers } = await exchange({
      url: server.url,
      bytes: Buffer.concat([
        requestText('GET /api/agents HTTP/1.1', [HOST, bearer(), ...offer]),
        requestText('POST /api/tasks HTTP/1.1', post, body),
      ]),
      answers: 2,
    });
    expect(answers.map(({ status }) => status)).toEqual([200, 201]);
    expect(JSON.parse(answers[1]?.body ?? '')).toMatchObject({ input: 'ä' });
  });
});

describe('a target with a host in it', () => {
  test('is served by its path', async () => {
    const answer = await onlyAnswer(requestText('GET http://localhost:1/api/tasks?limit=1 HTTP/1.1', [HOST, bearer(), 'Connection: close'])); // prettier-ignore
    expect(answer.status).toBe(200);
  });

  test.each(['http://evil.example/api/agents', 'http://localhost@evil.example/healthz', 'HTTP://evil.example/'])(
    '%s is refused for every Host',
    async (target) => {
      const answer = await onlyAnswer(requestText(`GET ${target} HTTP/1.1`, [HOST, bearer(), 'Connection: close']));
      expect([answer.status, problemIn(answer)['error_code']]).toEqual([403, 'host_refused']);
    },
  );
});

describe('a path that the router cannot read', () => {
  const paths = ['/%', '/api/tasks/%zz', '/api/tasks/%ff', '/api/tasks/%c3%28?limit=%zz', `/api/tasks/${'x'.repeat(5_000)}`, 'http://localhost/api/%E0%A4%A', '/%zz;a#%']; // prettier-ignore
  test.each(paths)('%s is refused as any other path', async (path) => {
    const get = (...headers: string[]) =>
      onlyAnswer(requestText(`GET ${path} HTTP/1.1`, ['Connection: close', ...headers]));
    const secure = { 'cache-control': 'no-store', 'x-content-type-options': 'nosniff' };
    const stranger = await get(HOST);
    expect([stranger.status, problemIn(stranger)['error_code']]).toEqual([401, 'unauthorized']);
    expect(stranger.headers).toMatchObject(secure);
    if (!path.startsWith('http')) expect((await get('Host: evil.example', bearer())).status).toBe(403);
    const ours = await get(HOST, bearer());
    expect([400, 404]).toContain(ours.status);
    expect(server.log.join('')).toContain(problemIn(ours)['request_id']);
    expect(ours.headers).toMatchObject(secure);
  });
});

describe('bodies', () => {
  const send = (path: string, body: string | Buffer, ...headers: string[]) =>
    onlyAnswer(requestText(`POST ${path} HTTP/1.1`, [HOST, bearer(), 'Connection: close', `Content-Length: ${Buffer.from(body).length}`, ...headers], body)); // prettier-ignore

  test.each([[[]], [[JSON_TYPE]], [[`${JSON_TYPE}; charset=utf-8`]], [[`${JSON_TYPE};Charset="UTF-8"`]]])(
    'a cancel needs none, with any content type: %j',
    async (headers) => {
      const answer = await send(`/api/tasks/${randomUUID()}/cancel`, '', ...headers);
      expect([answer.status, problemIn(answer)['error_code']]).toEqual([404, 'task_not_found']);
    },
  );

  test('a task needs one', async () => {
    expect((await send('/api/tasks', '', JSON_TYPE)).status).toBe(400);
  });

  test('that are compressed or not UTF-8 are refused, not misread', async () => {
    const compressed = await send('/api/tasks', '{}', JSON_TYPE, 'Content-Encoding: gzip');
    expect([compressed.status, problemIn(compressed)['error_code']]).toEqual([415, 'unsupported_media_type']);
    for (const charset of ['utf-16', '"UTF-16"', 'latin1', '']) {
      const other = await send('/api/tasks', '{}', `${JSON_TYPE}; charset=${charset}`);
      expect([charset, other.status, problemIn(other)['error_code']]).toEqual([charset, 415, 'unsupported_media_type']);
    }
    const text = JSON.stringify({ project_path: server.repository, agent: 'demo', input: 'caf\u00e9' });
    const latin1 = await send('/api/tasks', Buffer.from(text, 'latin1'), JSON_TYPE);
    expect([latin1.status, problemIn(latin1)['detail']]).toEqual([400, expect.stringContaining('UTF-8')]);
  });
});

describe('where the backend listens to the network', () => {
  const rule = hostRule({ listenHost: '0.0.0.0', allowedHosts: ['Tasks.example', '203.0.113.9'] });
  test.each([
    ['192.168.1.10', '192.168.1.10', true],
    ['192.168.1.10', '::ffff:192.168.1.10', true],
    ['fd00::2', 'fd00::2', true],
    ['203.0.113.5', '192.168.1.10', false],
    ['192.168.1.11', '192.168.1.10', false],
    ['0.0.0.0', '192.168.1.10', false],
    ['203.0.113.9', '172.17.0.2', true],
    ['tasks.example', '192.168.1.10', true],
    ['evil.example', '192.168.1.10', false],
    ['localhost', '192.168.1.10', true],
  ])('%s, reached at %s: %s', (host, local, ours) => {
    expect(rule(host, local)).toBe(ours);
  });

  test('a page at another address is refused, one at the address of the backend is served', async () => {
    const address = Object.values(networkInterfaces()).flat().find((one) => one?.family === 'IPv4' && !one.internal)?.address ?? '127.0.0.1'; // prettier-ignore
    const open = await server.another({ listenAt: '0.0.0.0', access: { listenHost: '0.0.0.0' } });
    const url = `http://${address}:${new URL(open.url).port}`;
    const ask = async (host: string, origin: string): Promise<number | undefined> => {
      const headers = [`Host: ${host}`, `Origin: ${origin}`, bearer(), 'Connection: close'];
      return (await exchange({ url, bytes: requestText('GET /api/agents HTTP/1.1', headers) })).answers[0]?.status;
    };
    expect(await ask(`${address}:4700`, `http://${address}:4700`)).toBe(200);
    expect(await ask(`${address}:4700`, 'http://203.0.113.5')).toBe(403);
    expect(await ask('203.0.113.5', 'http://203.0.113.5')).toBe(403);
    expect(await ask('0.0.0.0:4700', `http://${address}:4700`)).toBe(403);
  });
});
