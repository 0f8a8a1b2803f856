import { lookup } from 'node:dns/promises';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { connectionLimits, Connections } from '../../backend/connections.ts';
import { type BackendProcess, freePort, startBackendProcess } from '../lab/backend-process.ts';
import { labSession } from '../lab/log.ts';
import { type LabServer, startServer } from './lab.ts';
import { exchange, requestText, silent } from './raw-http.ts';

let server: LabServer;
const opened: Socket[] = [];
beforeAll(async () => {
  server = await startServer();
});
afterEach(() => {
  for (const socket of opened.splice(0)) socket.destroy();
});
afterAll(() => server.close());

async function silentOnes(url: string, count: number, localAddress?: string): Promise<Socket[]> {
  const sockets: Socket[] = [];
  for (let n = 0; n < count; n += 1) sockets.push(await silent(url, localAddress));
  opened.push(...sockets);
  return sockets;
}

describe('limits', () => {
  test.each([
    [1_024, { proven: 693, unproven: 231 }],
    [20_000, { proven: 9_744, unproven: 256 }],
    [Number.POSITIVE_INFINITY, { proven: 9_744, unproven: 256 }],
    [128, { proven: 21, unproven: 7 }],
    [50, { proven: 12, unproven: 4 }],
  ])('with %d descriptors some are reserved for the backend itself', (openFiles, limits) => {
    expect(connectionLimits(openFiles)).toEqual(limits);
  });
});

describe('connections without the token', () => {
  const from = (address: string): Socket => Object.defineProperty(new Socket(), 'remoteAddress', { value: address });

  test('of the address that has most of them are closed, the one that was silent longest first', () => {
    const refused: Socket[] = [];
    const connections = new Connections({ proven: 0, unproven: 3 }, (socket) => void refused.push(socket));
    const [health, first, second, third, fourth] = ['a', 'b', 'b', 'b', 'b'].map(from) as [Socket, Socket, Socket, Socket, Socket]; // prettier-ignore
    for (const socket of [health, first, second]) connections.admit(socket);
    connections.touch(first);
    connections.admit(third);
    connections.admit(fourth);
    expect(refused).toEqual([second, first]);
  });

  test('are no longer closed once they have sent the token', () => {
    const refused: Socket[] = [];
    const connections = new Connections({ proven: 1, unproven: 1 }, (socket) => void refused.push(socket));
    const [known, next, other] = [from('a'), from('a'), from('a')];
    connections.admit(known);
    expect([connections.prove(known), connections.prove(known)]).toEqual([true, true]);
    connections.admit(next);
    connections.admit(other);
    expect(refused).toEqual([next]);
    expect(connections.prove(other)).toBe(false);
    known.emit('close');
    expect(connections.prove(other)).toBe(true);
  });

  test('that are closed for others get a 503', async () => {
    const bounded = await server.another({ connections: { proven: 0, unproven: 3 } });
    const [oldest] = await silentOnes(bounded.url, 3);
    const said = text(oldest as Socket);
    await silentOnes(bounded.url, 1);
    const [head = '', body = ''] = (await said).split('\r\n\r\n');
    expect(head).toMatch(/^HTTP\/1\.1 503 Service Unavailable\r\n/);
    expect(JSON.parse(body)).toMatchObject({ status: 503, error_code: 'too_many_connections', retryable: true });
  });
});

test('with the token up to the limit: the next one gets a 503, the others and health are served', async () => {
  const bounded = await server.another({ connections: { proven: 2, unproven: 2 } });
  const message = await labSession(server.sql);
  const readers = [0, 1].map(
    () =>
      new WebSocket(`${bounded.url.replace('http', 'ws')}/api/sessions/${message.sessionId}/frames`, {
        headers: { authorization: `Bearer ${bounded.token}` },
      }),
  );
  await Promise.all(readers.map((reader) => once(reader, 'message')));
  const ask = (path: string, ...headers: string[]) =>
    exchange({ url: bounded.url, bytes: requestText(`GET ${path} HTTP/1.1`, ['Host: localhost', 'Connection: close', ...headers]) }); // prettier-ignore
  const bearer = `Authorization: Bearer ${bounded.token}`;
  const [full] = (await ask('/api/agents', bearer)).answers;
  expect([full?.status, full?.headers['retry-after'], full?.headers['connection']]).toEqual([503, '5', 'close']);
  expect(JSON.parse(full?.body ?? '')).toMatchObject({ error_code: 'too_many_connections' });
  expect((await ask('/healthz')).answers[0]?.status).toBe(200);
  expect((await ask('/api/agents')).answers[0]?.status).toBe(401);
  readers[0]?.close();
  await once(readers[0] as WebSocket, 'close');
  await expect.poll(async () => (await ask('/api/agents', bearer)).answers[0]?.status).toBe(200);
  readers[1]?.terminate();
});

test('many readers that connect at the same moment are all served', async () => {
  const bounded = await server.another({ connections: { proven: 60, unproven: 5 } });
  const message = await labSession(server.sql);
  const url = `${bounded.url.replace('http', 'ws')}/api/sessions/${message.sessionId}/frames`;
  const readers = Array.from({ length: 60 }, () => new WebSocket(url, [`longhaul.bearer.${bounded.token}`]));
  await Promise.all(readers.map((reader) => once(reader, 'message')));
  for (const reader of readers) reader.terminate();
});

test('localhost means each of its addresses', async () => {
  const named = await server.another({ listenAt: 'localhost', access: { listenHost: 'localhost' } });
  const { port } = new URL(named.url);
  for (const { address, family } of await lookup('localhost', { all: true })) {
    const host = family === 6 ? `[${address}]` : address;
    const bytes = requestText('GET /nothing HTTP/1.1', [`Host: ${host}`, `Authorization: Bearer ${named.token}`]);
    const asked = () => exchange({ url: `http://${host}:${port}`, bytes, answers: 1 });
    await expect.poll(async () => (await asked()).answers[0]?.status).toBe(404);
  }
});

describe('a backend with few descriptors', () => {
  let home: string;
  let backend: BackendProcess | undefined;
  beforeAll(async () => {
    home = await mkdtemp(join(tmpdir(), 'longhaul-descriptors-'));
  });
  afterAll(async () => {
    await backend?.kill();
    await rm(home, { recursive: true, force: true });
  });

  test('serves health, Postgres and tasks beside 400 silent connections', async () => {
    const port = await freePort();
    backend = await startBackendProcess({ databaseUrl: server.databaseUrl, home, port, openFiles: 300 });
    const url = `http://127.0.0.1:${port}`;
    await silentOnes(url, 400);
    expect((await fetch(`${url}/healthz`)).status).toBe(200);
    const ready = (await (await fetch(`${url}/readyz`)).json()) as { parts: Record<string, { ok: boolean }> };
    expect(ready.parts['postgres']).toEqual({ ok: true });
    const headers = { authorization: `Bearer ${(await readFile(join(home, 'token'), 'utf8')).trim()}`, 'content-type': 'application/json' }; // prettier-ignore
    const body = JSON.stringify({ project_path: server.repository, agent: 'demo', input: 'x' });
    const answers = await Promise.all(
      Array.from({ length: 20 }, () => fetch(`${url}/api/tasks`, { method: 'POST', headers, body })),
    );
    expect(answers.map(({ status }) => status)).toEqual(Array.from({ length: 20 }, () => 201));
    expect(backend.child.exitCode).toBeNull();
  });
});
