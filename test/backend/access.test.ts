import { request } from 'node:http';
import { connect } from 'node:net';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { bearerOf } from '../../backend/access.ts';
import { FailedLogins } from '../../backend/failed-logins.ts';
import { type LabServer, startServer } from './lab.ts';

let server: LabServer;
beforeAll(async () => {
  server = await startServer();
});
afterAll(() => server.close());

/** With headers that fetch does not let anybody set. */
function raw(
  url: string,
  headers: Record<string, string>,
  path = '/api/agents',
): Promise<{ status: number; body: string }> {
  return new Promise((resolve, reject) => {
    const asked = request(new URL(path, url), { headers }, (response) => {
      let body = '';
      response.on('data', (chunk: Buffer) => (body += chunk.toString()));
      response.on('end', () => resolve({ status: response.statusCode ?? 0, body }));
    });
    asked.on('upgrade', (_response, socket) => {
      socket.destroy();
      resolve({ status: 101, body: '' });
    });
    asked.on('error', reject).end();
  });
}

const bearer = (token: string) => ({ authorization: `Bearer ${token}` });

describe('the token', () => {
  test('is required by every path except the health of the process', async () => {
    const fresh = await server.another();
    for (const path of [
      '/api/agents',
      '/api/openapi.json',
      '/api/tasks/x',
      '/api/nothing',
      '/nothing',
      '/%61pi/agents',
      '//api/agents',
    ]) {
      const answer = await fresh.get(path, { authorization: '' });
      expect([path, answer.status]).toEqual([path, 401]);
      expect(answer.body).toMatchObject({ error_code: 'unauthorized', retryable: false });
      expect(answer.headers.get('www-authenticate')).toBe('Bearer');
    }
    for (const path of ['/healthz', '/readyz', '/metrics']) {
      expect([path, (await fresh.get(path, { authorization: '' })).status]).toEqual([path, 200]);
    }
  });

  test.each([
    ['another token', 'Bearer wrong'],
    ['its beginning', (token: string) => `Bearer ${token.slice(0, -1)}`],
    ['more than it', (token: string) => `Bearer ${token}x`],
    ['it without its scheme', (token: string) => token],
    ['it as a password', (token: string) => `Basic ${Buffer.from(`x:${token}`).toString('base64')}`],
    ['nothing', 'Bearer '],
  ])('%s is refused', async (_name, given) => {
    const fresh = await server.another();
    const authorization = typeof given === 'string' ? given : given(fresh.token);
    expect(await fresh.get('/api/agents', { authorization })).toMatchObject({ status: 401 });
  });

  test('is accepted in every form that HTTP permits', async () => {
    expect((await server.get('/api/agents', { authorization: `bearer   ${server.token}` })).status).toBe(200);
  });

  test('is not accepted as a query parameter', async () => {
    const answer = await server.get(`/api/agents?token=${server.token}&access_token=${server.token}`, {
      authorization: '',
    });
    expect(answer.status).toBe(401);
  });

  test('is in no log line of a request, wherever the request contains it', async () => {
    const logging = await server.another({
      prepare: (app) =>
        app.addHook('onRequest', (request, _reply, done) => {
          request.log.warn({ req: request }, 'a request');
          done();
        }),
    });
    await logging.get(`/api/agents?token=${logging.token}`);
    await logging.get('/api/agents', {
      authorization: '',
      'sec-websocket-protocol': `longhaul.bearer.${logging.token}`,
    });
    const lines = logging.log.filter((line) => line.includes('a request'));
    expect(lines.map((line) => (JSON.parse(line) as { req: unknown }).req)).toEqual(
      [1, 2].map(() => ({ method: 'GET', path: '/api/agents', ip: '127.0.0.1' })),
    );
    expect(logging.log.join('')).not.toContain(logging.token);
  });

  test('is found in the protocols of a WebSocket handshake', () => {
    expect(bearerOf({ 'sec-websocket-protocol': 'longhaul.v1, longhaul.bearer.abc-_.~' })).toBe('abc-_.~');
    expect(bearerOf({ authorization: 'Bearer one', 'sec-websocket-protocol': 'longhaul.bearer.two' })).toBe('one');
    expect(bearerOf({ 'sec-websocket-protocol': 'longhaul.v1' })).toBeUndefined();
    expect(bearerOf({})).toBeUndefined();
  });

  test('is required by a handshake, too, and read from its protocols', async () => {
    const upgrade = {
      upgrade: 'websocket',
      connection: 'Upgrade',
      'sec-websocket-version': '13',
      'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==',
    };
    const ask = async (token: string): Promise<number> =>
      (await raw(server.url, { ...upgrade, 'sec-websocket-protocol': `longhaul.bearer.${token}` })).status;
    expect(await ask('wrong')).toBe(401);
    expect((await raw(server.url, upgrade)).status).toBe(401);
    // Then the route says that it is no socket.
    expect(await ask(server.token)).toBe(400);
  });

  test('a handshake that is refused leaves no connection open', async () => {
    for (const path of ['/api/agents', '/api/sessions/x/frames', '/nothing']) {
      const socket = connect(Number(new URL(server.url).port), '127.0.0.1');
      const lines = [`GET ${path} HTTP/1.1`, 'Host: localhost', 'Connection: Upgrade', 'Upgrade: websocket'];
      socket.write(
        `${[...lines, 'Sec-WebSocket-Version: 13', 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=='].join('\r\n')}\r\n\r\n`,
      );
      // Ends when the server ends it.
      expect(await text(socket)).toMatch(/^HTTP\/1\.1 (401|429) /);
    }
  });
});

describe('requests with a wrong token', () => {
  test('get 429 after a few, while the right token is always accepted', async () => {
    const fresh = await server.another();
    const answers = [];
    for (let n = 0; n < 15; n += 1) answers.push(await fresh.get('/api/agents', bearer('wrong')));
    const refused = answers.filter(({ status }) => status === 429);
    expect(answers.slice(0, 10).map(({ status }) => status)).toEqual(Array.from({ length: 10 }, () => 401));
    expect(refused).toHaveLength(5);
    expect(Number(refused[0]?.headers.get('retry-after'))).toBeGreaterThanOrEqual(1);
    expect(refused[0]?.body).toMatchObject({ error_code: 'too_many_attempts', retryable: true });
    expect((await fresh.get('/api/agents')).status).toBe(200);
    // Requests that got 429 leave no line in the log.
    expect(fresh.log.filter((line) => line.includes('wrong token'))).toHaveLength(10);
  });

  test('are answered with 401 again after some time, separately for each address, in bounded memory', () => {
    let now = 0;
    const failed = new FailedLogins(() => now);
    const many = (address: string, count: number) => Array.from({ length: count }, () => failed.note(address));
    expect(many('a', 10)).toEqual(Array.from({ length: 10 }, () => undefined));
    expect(failed.note('a')).toBe(6);
    now += 3_000;
    expect(failed.note('a')).toBe(3);
    expect(failed.note('b')).toBeUndefined();
    now += 3_000;
    expect(failed.note('a')).toBeUndefined();
    expect(failed.note('a')).toBe(6);
    for (let n = 0; n < 2_000; n += 1) failed.note(`address ${n}`);
    expect(failed.note('a')).toBeUndefined();
  });
});

describe('a page of another site in a browser', () => {
  const own = () => new URL(server.url).host;

  test.each([
    ['under a name of a stranger', 'evil.example'],
    ['under a name that begins like ours', 'localhost.evil.example:80'],
    ['with a name in front of ours', 'evil.example@127.0.0.1'],
    ['with a path behind ours', '127.0.0.1/evil.example'],
    ['under an address of the network', '192.168.1.10:4700'],
    ['with an invalid name', 'a b'],
  ])('%s is refused for every path', async (_name, host) => {
    for (const path of ['/api/agents', '/healthz', '/metrics', '/nothing']) {
      const { status, body } = await raw(server.url, { host, ...bearer(server.token) }, path);
      expect([path, status]).toEqual([path, 403]);
      expect(JSON.parse(body)).toMatchObject({ error_code: 'host_refused' });
    }
  });

  test('without a Host is refused', async () => {
    const socket = connect(Number(new URL(server.url).port), '127.0.0.1');
    socket.end(`GET /api/agents HTTP/1.0\r\nAuthorization: Bearer ${server.token}\r\n\r\n`);
    expect(await text(socket)).toMatch(/^HTTP\/1\.1 403 /);
  });

  test.each(['localhost:4700', 'LOCALHOST', '127.0.0.1', '127.1.2.3:1', '[::1]:4700'])(
    'with the Host %s is served',
    async (host) => {
      expect((await raw(server.url, { host, ...bearer(server.token) })).status).toBe(200);
    },
  );

  test.each(['https://evil.example', 'null', 'file://', 'http://192.168.1.10', 'http://localhost.evil.example'])(
    'from a page of %s is refused',
    async (origin) => {
      const { status, body } = await raw(server.url, { host: own(), origin, ...bearer(server.token) });
      expect(status).toBe(403);
      expect(JSON.parse(body)).toMatchObject({ error_code: 'host_refused' });
    },
  );

  test.each(['http://localhost:3000', 'http://127.0.0.1', 'https://[::1]'])(
    'from a page of %s is served',
    async (origin) => {
      expect((await raw(server.url, { host: own(), origin, ...bearer(server.token) })).status).toBe(200);
    },
  );

  test('allowed names are accepted, and on a network listener the address at which the backend was reached', async () => {
    const proxied = await server.another({ access: { allowedHosts: ['Tasks.example'] } });
    expect(
      (await raw(proxied.url, { host: 'tasks.example', origin: 'https://tasks.example', ...bearer(proxied.token) }))
        .status,
    ).toBe(200);
    const open = await server.another({ access: { listenHost: '0.0.0.0' } });
    expect((await raw(open.url, { host: '127.0.0.1:4700', ...bearer(open.token) })).status).toBe(200);
    expect((await raw(open.url, { host: '192.168.1.10:4700', ...bearer(open.token) })).status).toBe(403);
    expect((await raw(open.url, { host: 'evil.example', ...bearer(open.token) })).status).toBe(403);
    // Where the network gets to, counts are not for everybody.
    expect((await raw(open.url, { host: 'localhost' }, '/metrics')).status).toBe(401);
    expect((await raw(open.url, { host: 'localhost' }, '/healthz')).status).toBe(200);
  });
});
