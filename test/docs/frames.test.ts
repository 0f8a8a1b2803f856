/** The reader that docs/frames.md shows, as it stands there, through a restart of what it reads from. */
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { CLOSES } from '../../backend/stream-frames.ts';
import { type FollowedFrame, FrameHub } from '../../frames/follow.ts';
import { freshDatabase, type LabDatabase } from '../lab/database.ts';
import { socketServer } from '../lab/frame-socket.ts';
import { append, delta, labSession } from '../lab/log.ts';
import { until } from '../lab/until.ts';

const PAGE = readFileSync(new URL('../../docs/frames.md', import.meta.url), 'utf8');

let database: LabDatabase;
let hub: FrameHub;
beforeAll(async () => {
  database = await freshDatabase();
  hub = new FrameHub(database.sql);
});
afterAll(async () => {
  await hub.close();
  await database.drop();
});

type Follow = (sessionId: string, onFrame: (frame: FollowedFrame) => void, after?: number) => void;

function followOfThePage(backend: string): Follow {
  const code = /```js\n(.*?)```/s.exec(PAGE)?.[1]?.replace(/^import .*$/m, '');
  // The document's words are the test's subject.
  // oxlint-disable-next-line no-implied-eval
  return new Function('WebSocket', 'backend', 'token', `${code}\nreturn follow;`)(WebSocket, backend, 'abc') as Follow;
}

test('the reader of docs/frames.md continues after a restart, and ends when its session is deleted', async () => {
  const { sql } = database;
  const message = await labSession(sql);
  let server = await socketServer(hub);
  const frames: FollowedFrame[] = [];
  followOfThePage(server.url)(message.sessionId, (frame) => frames.push(frame));
  await until('the snapshot', () => frames.length === 1);
  await append(sql, message, [delta(message, 'one')]);
  await until('the first frame', () => frames.length === 2);
  const { port } = new URL(server.url);
  await server.close();
  await append(sql, message, [delta(message, 'two')]);
  server = await socketServer(hub, { port: Number(port) });
  await until('the second frame', () => frames.length === 3);
  expect(frames.map(({ type, seq }) => `${type} ${seq}`)).toEqual(['snapshot 0', 'delta 1', 'delta 2']);
  await sql`DELETE FROM sessions WHERE id = ${message.sessionId}`;
  await until('the end of its socket', () => server.server.websocketServer.clients.size === 0);
  await server.close();
});

test('docs/frames.md names every close code that the backend uses', () => {
  for (const code of Object.values(CLOSES)) expect(PAGE).toContain(`| ${code} |`);
});
