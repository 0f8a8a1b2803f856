/** Clients that send a byte now and then: each is answered with 408 within the bound, and holds its connection no longer. */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type LabServer, startServer } from './lab.ts';

/** Far below the 30 s for which a client that was answered early may send on. */
const CLOSED_MS = 15_000;

let server: LabServer;
beforeAll(async () => {
  server = await startServer({
    timeouts: { headersTimeout: 300, requestTimeout: 600, connectionsCheckingInterval: 50 },
  });
});
afterAll(() => server.close());

interface Dripped {
  readonly answers: string;
  readonly ms: number;
}

/** Sends `start`, then an x every 50 ms for as long as the server keeps the connection, whatever it answers. */
async function drip(start: string): Promise<Dripped> {
  const { hostname, port } = new URL(server.url);
  const socket: Socket = connect({ host: hostname, port: Number(port), allowHalfOpen: true });
  let answers = '';
  socket.on('data', (chunk) => (answers += chunk.toString()));
  socket.on('error', () => {});
  await once(socket, 'connect');
  const startedAt = performance.now();
  socket.write(start);
  const drops = setInterval(() => socket.write('x'), 50);
  // Not `once`, which fails with the EPIPE of a drop that comes too late.
  await new Promise<void>((resolve) => socket.once('close', () => resolve()));
  clearInterval(drops);
  return { answers, ms: performance.now() - startedAt };
}

const statuses = ({ answers }: Dripped): string[] =>
  [...answers.matchAll(/HTTP\/1\.1 (\d{3})/g)].map(([, status = '']) => status);
const bearer = () => `Authorization: Bearer ${server.token}`;
const post = (...headers: string[]): string =>
  ['POST /api/tasks HTTP/1.1', 'Host: localhost', 'Content-Type: application/json', ...headers, '', '{'].join('\r\n');

test.each<[string, () => string, string[]]>([
  ['headers, byte by byte', () => 'GET /healthz HTTP/1.1\r\nX-Slow: ', ['408']],
  ['a request line, byte by byte', () => 'GET /', ['408']],
  ['a body, byte by byte', () => post(bearer(), 'Content-Length: 100000'), ['408']],
  ['chunks, byte by byte', () => post(bearer(), 'Transfer-Encoding: chunked').replace(/\{$/, '186a0\r\n{'), ['408']],
  ['a body of a request that was answered', () => post('Content-Length: 100000'), ['401']],
])('%s', async (_name, start, expected) => {
  const dripped = await drip(start());
  expect(statuses(dripped)).toEqual(expected);
  expect(dripped.ms).toBeLessThan(CLOSED_MS);
  if (expected[0] === '408') expect(dripped.answers).toContain('"error_code":"request_timeout"');
});
