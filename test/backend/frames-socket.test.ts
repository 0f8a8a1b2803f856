import { once } from 'node:events';
import type { FastifyInstance } from 'fastify';
import { pino } from 'pino';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { makeServer } from '../../backend/server.ts';
import { type Longhaul, openLonghaul } from '../../client/connection.ts';
import type { FollowedFrame } from '../../client/follow-task.ts';
import type { Sql } from '../../store/sql.ts';
import { freshDatabase, type LabDatabase } from '../lab/database.ts';
import { append, delta, labSession } from '../lab/log.ts';

let database: LabDatabase;
let sql: Sql;
let longhaul: Longhaul;
let server: FastifyInstance;
let url: string;
beforeAll(async () => {
  database = await freshDatabase();
  ({ sql } = database);
  longhaul = openLonghaul({
    databaseUrl: database.url,
    temporal: { namespace: 'default', connection: { address: '127.0.0.1:1' } },
    applicationName: 'longhaul backend',
  });
  server = makeServer({ longhaul, intake: { trouble: () => undefined }, log: pino({ level: 'silent' }) });
  url = (await server.listen({ host: '127.0.0.1', port: 0 })).replace('http', 'ws');
});
afterAll(async () => {
  await server.close();
  await longhaul.close();
  await database.drop();
});

test('a reader gets what the log has, then what comes, each message an array', async () => {
  const message = await labSession(sql);
  await append(sql, message, [delta(message, 'before'), delta(message, 'it')]);
  const socket = new WebSocket(`${url}/api/sessions/${message.sessionId}/frames?after=0`);
  const frames: FollowedFrame[] = [];
  socket.on('message', (data: Buffer) => {
    frames.push(...(JSON.parse(data.toString()) as FollowedFrame[]));
  });
  await once(socket, 'message');
  await append(sql, message, [delta(message, 'live')]);
  await expect.poll(() => frames.map((frame) => frame.seq)).toEqual([1, 2, 3]);
  expect(frames[2]).toMatchObject({ type: 'delta', content: 'live', session_id: message.sessionId });
  socket.close();
  await once(socket, 'close');
});
