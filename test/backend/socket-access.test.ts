import { once } from 'node:events';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { append, delta, labSession } from '../lab/log.ts';
import { type LabServer, startServer } from './lab.ts';

let server: LabServer;
beforeAll(async () => {
  server = await startServer();
});
afterAll(() => server.close());

const socketTo = (id: string, protocols: string[], headers: Record<string, string> = {}) =>
  new WebSocket(`${server.url.replace('http', 'ws')}/api/sessions/${id}/frames`, protocols, { headers });

async function refused(socket: WebSocket): Promise<number | undefined> {
  const [, response] = (await once(socket, 'unexpected-response')) as [unknown, { statusCode?: number }];
  return response.statusCode;
}

test('a socket sends frames to callers with the token only; open sockets are counted', async () => {
  const message = await labSession(server.sql);
  await append(server.sql, message, [delta(message, 'a')]);
  const socket = socketTo(message.sessionId, ['longhaul.frames', `longhaul.bearer.${server.token}`]);
  const [data] = (await once(socket, 'message')) as [Buffer];
  expect(JSON.parse(data.toString())).toMatchObject([{ type: 'snapshot', seq: 1 }]);
  expect(socket.protocol).toBe('longhaul.frames');
  expect((await server.get('/metrics')).text).toMatch(/^longhaul_sockets 1$/m);
  await append(server.sql, message, [delta(message, 'b')]);
  await once(socket, 'message');
  expect((await server.get('/metrics')).text).toMatch(/^longhaul_frame_lag_seconds_count [1-9]/m);
  socket.close();
  await once(socket, 'close');
  expect(await refused(socketTo(message.sessionId, []))).toBe(401);
  expect(await refused(socketTo(message.sessionId, ['longhaul.frames', 'longhaul.bearer.wrong']))).toBe(401);
  expect(
    await refused(
      socketTo(message.sessionId, [], { authorization: `Bearer ${server.token}`, origin: 'https://evil.example' }),
    ),
  ).toBe(403);
});
