import { once } from 'node:events';
import { connect as connectTcp } from 'node:net';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { FrameHub } from '../../frames/follow.ts';
import type { Sql } from '../../store/sql.ts';
import { freshDatabase, type LabDatabase } from '../lab/database.ts';
import { FrameReader, type LabSocketServer, socketServer } from '../lab/frame-socket.ts';
import { append, delta, labSession } from '../lab/log.ts';

let database: LabDatabase;
let sql: Sql;
let hub: FrameHub;
let lab: LabSocketServer;
beforeAll(async () => {
  database = await freshDatabase();
  ({ sql } = database);
  hub = new FrameHub(sql);
  lab = await socketServer(hub);
});
afterAll(async () => {
  await lab.close();
  await hub.close();
  await database.drop();
});

const UNKNOWN_SESSION = '00000000-0000-4000-8000-000000000000';

test('a reader with a cursor gets the frames of the log above it, then new ones, each message an array', async () => {
  const message = await labSession(sql);
  await append(sql, message, [delta(message, 'has it'), delta(message, 'before')]);
  const reader = new FrameReader(lab.url, message.sessionId, { after: 1 });
  await reader.to(2);
  await append(sql, message, [delta(message, 'live'), delta(message, 'too')]);
  await reader.to(4);
  const { session_id, task_id } = { session_id: message.sessionId, task_id: message.taskId };
  expect(reader.frames).toMatchObject([
    { session_id, task_id, seq: 2, type: 'delta', content: 'before' },
    { session_id, task_id, seq: 3, type: 'delta', content: 'live' },
    { session_id, task_id, seq: 4, type: 'delta', content: 'too' },
  ]);
  expect(reader.messages).toHaveLength(2);
  await reader.leave();
});

test('without a cursor, or with one below the removed frames or above the end, a snapshot comes first', async () => {
  const message = await labSession(sql);
  await append(sql, message, [{ type: 'warning', message: 'goes' }, delta(message, 'b'), delta(message, 'c')]);
  await sql`UPDATE sessions SET compacted_seq = 1 WHERE id = ${message.sessionId}`;
  const readers = [undefined, 0, 99].map((after) => new FrameReader(lab.url, message.sessionId, after === undefined ? {} : { after })); // prettier-ignore
  for (const reader of readers) await reader.to(3);
  await append(sql, message, [delta(message, 'd')]);
  for (const reader of readers) {
    await reader.to(4);
    expect(reader.frames).toMatchObject([
      { type: 'snapshot', seq: 3, messages: [{ content: 'bc', status: 'streaming' }] },
      { type: 'delta', seq: 4, content: 'd' },
    ]);
    await reader.leave();
  }
});

test('a frame is sent as it is stored, also numbers that JavaScript cannot represent', async () => {
  const message = await labSession(sql);
  const body = '{"big": 12345678901234567890, "exact": 1.50, "text": "\\u2028é\\u0001"}';
  await sql`INSERT INTO frames (session_id, seq, type, body) VALUES (${message.sessionId}, 1, 'warning', ${body}::text::jsonb)`;
  await sql`INSERT INTO frames (session_id, seq, type, body) VALUES (${message.sessionId}, 2, 'warning', '{}')`;
  await sql`UPDATE sessions SET seq = 2 WHERE id = ${message.sessionId}`;
  const [stored] = await sql<
    { text: string }[]
  >`SELECT body::text FROM frames WHERE session_id = ${message.sessionId}`.values();
  const reader = new FrameReader(lab.url, message.sessionId, { after: 0 });
  await reader.to(2);
  expect(reader.messages[0]).toContain(String(stored).slice(1, -1));
  expect(reader.messages[0]).toMatch(/"big": 12345678901234567890,.*"exact": 1\.50/s);
  expect(reader.frames[1]).toEqual({
    session_id: message.sessionId,
    seq: 2,
    type: 'warning',
    at: expect.any(String) as string,
  });
  await reader.leave();
});

test.each([
  ['a session that does not exist', UNKNOWN_SESSION, '0', 4404, 'session_not_found'],
  ['a session by an invalid id', 'no-id', '0', 4404, 'session_not_found'],
  ['a cursor that is no number', UNKNOWN_SESSION, 'x', 4400, 'invalid_input'],
  ['a cursor below 0', UNKNOWN_SESSION, '-1', 4400, 'invalid_input'],
  ['a cursor with a fraction', UNKNOWN_SESSION, '1.5', 4400, 'invalid_input'],
  ['a cursor beyond all numbers', UNKNOWN_SESSION, '9999999999999999', 4400, 'invalid_input'],
  ['an empty cursor', UNKNOWN_SESSION, '', 4400, 'invalid_input'],
  ['two cursors', UNKNOWN_SESSION, '1&after=2', 4400, 'invalid_input'],
])('%s is refused by a close code', async (_what, session, after, code, reason) => {
  const reader = new FrameReader(lab.url, session, { after });
  expect(await reader.closed).toEqual({ code, reason: expect.stringContaining(`${reason}: `) as string });
  expect(reader.messages).toEqual([]);
});

test('a deleted session closes its readers with a close code', async () => {
  const message = await labSession(sql);
  const readers = [
    new FrameReader(lab.url, message.sessionId),
    new FrameReader(lab.url, message.sessionId, { after: 0 }),
  ];
  await append(sql, message, [delta(message, 'x')]);
  for (const reader of readers) await reader.to(1);
  await sql`DELETE FROM sessions WHERE id = ${message.sessionId}`;
  for (const reader of readers) expect((await reader.closed).code).toBe(4410);
});

test('messages of a client are not read, and a large one closes its socket', async () => {
  const message = await labSession(sql);
  const reader = new FrameReader(lab.url, message.sessionId, { after: 0 });
  await once(reader.socket, 'open');
  for (let i = 0; i < 100; i += 1) reader.socket.send('{"type":"?"}');
  reader.socket.ping('are you there');
  expect(String((await once(reader.socket, 'pong'))[0])).toBe('are you there');
  await append(sql, message, [delta(message, 'x')]);
  await reader.to(1);
  reader.socket.send('x'.repeat(5_000));
  expect((await reader.closed).code).toBe(1009);
});

test('without a handshake the route responds that it is a socket', async () => {
  const response = await fetch(`${lab.url.replace('ws', 'http')}/api/sessions/${UNKNOWN_SESSION}/frames`);
  expect(response.status).toBe(426);
  expect(response.headers.get('upgrade')).toBe('websocket');
  expect(await response.json()).toMatchObject({ status: 426, error_code: 'invalid_input' });
});

test('a handshake for another route gets a response and its connection is closed', async () => {
  const { port } = new URL(lab.url);
  for (const [path, status] of [
    ['/plain', '200'],
    ['/nothing', '404'],
  ] as const) {
    const socket = connectTcp(Number(port), '127.0.0.1');
    let answer = '';
    socket.on('data', (chunk) => {
      answer += chunk.toString();
    });
    socket.write(
      `GET ${path} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n` +
        'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n',
    );
    await once(socket, 'close');
    expect(answer).toContain(`HTTP/1.1 ${status}`);
  }
});

test.each([
  [['longhaul.bearer.abc', 'longhaul.frames'], 'longhaul.frames'],
  [['longhaul.frames'], 'longhaul.frames'],
  [['longhaul.bearer.abc'], 'longhaul.bearer.abc'],
])('of the protocols %j one is chosen, as browsers require', async (protocols, chosen) => {
  const message = await labSession(sql);
  const reader = new FrameReader(lab.url, message.sessionId, { after: 0, protocols });
  await once(reader.socket, 'open');
  expect(reader.socket.protocol).toBe(chosen);
  await reader.leave();
});

test('open sockets are counted, and the lag of new frames is measured', async () => {
  const message = await labSession(sql);
  await append(sql, message, [delta(message, 'old')]);
  let open = 0;
  const lags: number[] = [];
  const metrics = {
    sockets: { inc: () => (open += 1), dec: () => (open -= 1) },
    frameLag: { observe: (seconds: number) => lags.push(seconds) },
  };
  const own = await socketServer(hub, { metrics });
  const readers = [0, 1].map(() => new FrameReader(own.url, message.sessionId, { after: 0 }));
  for (const reader of readers) await reader.to(1);
  expect({ open, lags }).toEqual({ open: 2, lags: [] });
  await append(sql, message, [delta(message, 'live')]);
  for (const reader of readers) await reader.to(2);
  expect(lags).toHaveLength(2);
  for (const lag of lags) expect(lag).toBeLessThan(5);
  await own.close();
  expect(open).toBe(0);
});

test('a backend that stops closes every socket with 1001, and does not wait for unresponsive readers', async () => {
  const message = await labSession(sql);
  const own = await socketServer(hub);
  const readers = Array.from({ length: 20 }, () => new FrameReader(own.url, message.sessionId, { after: 0 }));
  const deaf = new FrameReader(own.url, message.sessionId, { after: 0 });
  await append(sql, message, [delta(message, 'x')]);
  for (const reader of [...readers, deaf]) await reader.to(1);
  deaf.socket.pause();
  const began = performance.now();
  await own.close();
  expect(performance.now() - began).toBeLessThan(5_000);
  for (const reader of readers) {
    expect(await reader.closed).toEqual({ code: 1001, reason: 'the backend stops: reconnect with your cursor' });
  }
  deaf.socket.terminate();
});
