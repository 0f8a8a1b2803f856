import { once } from 'node:events';
import * as fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { FrameBody } from '../../contract/frame.ts';
import { FrameHub } from '../../frames/follow.ts';
import { FrameWriter } from '../../frames/writer.ts';
import { connect, type Sql } from '../../store/sql.ts';
import { freshDatabase, type LabDatabase } from '../lab/database.ts';
import { FrameReader, type LabSocketServer, socketServer } from '../lab/frame-socket.ts';
import { append, delta, labSession, type LabMessage } from '../lab/log.ts';
import { logOf, openStream } from '../lab/turn.ts';
import { until } from '../lab/until.ts';

let database: LabDatabase;
let sql: Sql;
/** Two backends on one database. */
let pools: Sql[];
let hubs: FrameHub[];
let servers: LabSocketServer[];
beforeAll(async () => {
  database = await freshDatabase();
  ({ sql } = database);
  pools = [0, 1].map(() => connect(database.url, { applicationName: 'backend' }));
  hubs = pools.map((pool) => new FrameHub(pool));
  servers = await Promise.all(hubs.map((hub) => socketServer(hub)));
});
afterAll(async () => {
  for (const server of servers) await server.close();
  for (const hub of hubs) await hub.close();
  for (const pool of pools) await pool.end({ timeout: 1 });
  await database.drop();
});

const upTo = (last: number, first = 1): number[] => Array.from({ length: last - first + 1 }, (_, i) => first + i);
const many = (message: LabMessage, count: number, text = 'x'): FrameBody[] => Array.from({ length: count }, () => delta(message, text)); // prettier-ignore

test('readers that connect at any moment, with any cursor, get each frame once and in order, from either backend', async () => {
  const arrival = fc.record({
    at: fc.integer({ min: 0, max: 40 }),
    back: fc.integer({ min: 0, max: 200 }),
    on: fc.nat(1),
  });
  const arrivals = fc.array(arrival, { minLength: 10, maxLength: 30 });
  await fc.assert(
    fc.asyncProperty(
      arrivals,
      fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 40, maxLength: 40 }),
      async (coming, sizes) => {
        const message = await labSession(sql);
        const readers: { reader: FrameReader; after: number }[] = [];
        let written = 0;
        for (const [step, size] of sizes.entries()) {
          for (const { back, on } of coming.filter(({ at }) => at === step)) {
            const after = Math.max(0, written - back);
            readers.push({ after, reader: new FrameReader(servers[on]?.url ?? '', message.sessionId, { after }) });
          }
          // Two writers at once: their order is the log's to decide.
          await Promise.all([append(sql, message, many(message, size)), append(sql, message, many(message, 1))]);
          written += size + 1;
        }
        for (const { reader, after } of readers) {
          await reader.to(written);
          expect(reader.seqs).toEqual(upTo(written, after + 1));
          await reader.leave();
        }
      },
    ),
    { numRuns: 8 },
  );
});

test('all readers of a session get the same bytes', async () => {
  const message = await labSession(sql);
  const readers = servers.flatMap(({ url }) =>
    [1, 2, 3].map(() => new FrameReader(url, message.sessionId, { after: 0 })),
  );
  for (let i = 0; i < 30; i += 1) await append(sql, message, many(message, 3, `${i}`));
  const log = await logOf(sql, message.sessionId);
  for (const reader of readers) {
    await reader.to(90);
    expect(reader.frames.map((frame) => frame.type === 'delta' && frame.content)).toEqual(
      log.map(({ body }) => body.type === 'delta' && body.content),
    );
    const frames = reader.messages.map((text) => text.slice(1, -1)).join(',');
    expect(frames).toBe(readers[0]?.messages.map((text) => text.slice(1, -1)).join(','));
    await reader.leave();
  }
});

test('a hundred readers of one session cost one query for each notification', async () => {
  const message = await labSession(sql);
  let queries = 0;
  const counting = new Proxy(sql, {
    apply: (target, self, args: unknown[]) => {
      queries += 1;
      return Reflect.apply(target, self, args) as unknown;
    },
  });
  const hub = new FrameHub(counting);
  const server = await socketServer(hub);
  await append(sql, message, many(message, 1));
  const readers = Array.from({ length: 100 }, () => new FrameReader(server.url, message.sessionId, { after: 0 }));
  for (const reader of readers) await reader.to(1);
  const before = queries;
  for (let i = 2; i <= 51; i += 1) {
    await append(sql, message, many(message, 1));
    for (const reader of readers) await reader.to(i);
  }
  // One for each of the 50, one more for what rang while it was read, and some polls.
  expect(queries - before).toBeLessThan(120);
  for (const reader of readers) expect(reader.seqs).toEqual(upTo(51));
  await server.close();
  await hub.close();
});

test('readers of several sessions that are written to at once cost one query together', async () => {
  const messages = await Promise.all(Array.from({ length: 12 }, () => labSession(sql)));
  let queries = 0;
  const counting = new Proxy(sql, {
    apply: (target, self, args: unknown[]) => {
      queries += 1;
      return Reflect.apply(target, self, args) as unknown;
    },
  });
  const hub = new FrameHub(counting);
  const server = await socketServer(hub);
  const readers = messages.map(({ sessionId }) => new FrameReader(server.url, sessionId, { after: 0 }));
  const writer = new FrameWriter(sql);
  const streams = await Promise.all(messages.map((message) => openStream(sql, writer, message)));
  const say = async (i: number): Promise<void> => {
    for (const [at, message] of messages.entries()) streams[at]?.append(delta(message, 'x'));
    for (const reader of readers) await reader.to(i);
  };
  await say(1);
  const before = queries;
  for (let i = 2; i <= 31; i += 1) await say(i);
  // 360 frames in 30 wake-ups; the rest are polls and what rang while it was read.
  expect(queries - before).toBeLessThan(150);
  for (const reader of readers) expect(reader.seqs).toEqual(upTo(31));
  await server.close();
  await hub.close();
});

test('readers that connect at the same time without a cursor share their snapshots', async () => {
  const message = await labSession(sql);
  await append(sql, message, many(message, 10));
  let transactions = 0;
  const counting = new Proxy(sql, {
    get: (target, key) => {
      if (key === 'begin') transactions += 1;
      return Reflect.get(target, key) as unknown;
    },
  });
  const hub = new FrameHub(counting);
  const readers = Array.from({ length: 50 }, () => hub.pages({ sessionId: message.sessionId }));
  for (const first of await Promise.all(readers.map((reader) => reader.next()))) {
    expect(first.value?.take().frames()).toMatchObject([{ type: 'snapshot', seq: 10 }]);
  }
  expect(transactions).toBeLessThanOrEqual(2);
  for (const reader of readers) await reader.return();
  await hub.close();
});

test('a reader that does not read is closed with its cursor, delays no other reader, and reconnects without a gap', async () => {
  const message = await labSession(sql);
  // A ping that a paused reader does not answer must not end it first, however slow the machine is.
  const server = await socketServer(hubs[0] ?? new FrameHub(sql), { limits: { pingMs: 600_000, takeMs: 600_000 } });
  const { url } = server;
  const slow = new FrameReader(url, message.sessionId, { after: 0 });
  const neighbour = new FrameReader(url, message.sessionId, { after: 0 });
  await append(sql, message, many(message, 1));
  await Promise.all([slow.to(1), neighbour.to(1)]);
  slow.socket.pause();
  // More than the kernel takes for a reader that does not read, and what may wait for it here.
  let written = 1;
  let longest = 0;
  for (let i = 0; i < 20; i += 1) {
    await append(sql, message, many(message, 40, 'y'.repeat(50_000)));
    written += 40;
    const committed = performance.now();
    await neighbour.to(written);
    longest = Math.max(longest, performance.now() - committed);
  }
  expect(neighbour.seqs).toEqual(upTo(written));
  expect(longest).toBeLessThan(2_000);
  slow.socket.resume();
  const { code, reason } = await slow.closed;
  expect(code).toBe(4408);
  expect(reason).toMatch(/^too_slow: .*reconnect with after=\d+$/);
  expect(slow.last).toBeLessThan(written);
  expect(reason).toContain(`after=${slow.last}`);
  const again = new FrameReader(url, message.sessionId, { after: slow.last });
  await again.to(written);
  expect([...slow.seqs, ...again.seqs]).toEqual(upTo(written));
  await Promise.all([again.leave(), neighbour.leave()]);
  await server.close();
});

test('a reader that does not finish one message is closed, too', async () => {
  const message = await labSession(sql);
  await sql`UPDATE messages SET status = 'complete', content = repeat('z', 30000000) WHERE id = ${message.messageId}`;
  const server = await socketServer(hubs[0] ?? new FrameHub(sql), { limits: { pingMs: 60_000, takeMs: 300 } });
  const reader = new FrameReader(server.url, message.sessionId);
  await once(reader.socket, 'open');
  reader.socket.pause();
  const [client] = server.server.websocketServer.clients;
  await until('the close', () => client?.readyState !== 1);
  reader.socket.resume();
  expect((await reader.closed).code).toBe(4408);
  await server.close();
});

test('a client that does not answer pings is disconnected, one that does stays', async () => {
  const message = await labSession(sql);
  const server = await socketServer(hubs[0] ?? new FrameHub(sql), { limits: { pingMs: 50, takeMs: 60_000 } });
  const silent = new FrameReader(server.url, message.sessionId, { after: 0, autoPong: false });
  const polite = new FrameReader(server.url, message.sessionId, { after: 0 });
  expect((await silent.closed).code).toBe(1006);
  for (let i = 0; i < 5; i += 1) await once(polite.socket, 'ping');
  await append(sql, message, many(message, 1));
  await polite.to(1);
  await server.close();
});
