import { setTimeout as delay } from 'node:timers/promises';
import * as fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { FrameBody } from '../../contract/frame.ts';
import { MAX_BUFFERED_BYTES } from '../../frames/stream.ts';
import { FrameWriter } from '../../frames/writer.ts';
import type { Sql } from '../../store/sql.ts';
import type { TaskId } from '../../contract/ids.ts';
import { freshDatabase, type LabDatabase } from '../lab/database.ts';
import { append, delta, labSession, type LabMessage } from '../lab/log.ts';
import { expectNoHoles, logOf, openStream, streamOf, takeLabTurn, textOf } from '../lab/turn.ts';
import { hold } from '../lab/until.ts';

let database: LabDatabase;
let sql: Sql;
beforeAll(async () => {
  database = await freshDatabase();
  ({ sql } = database);
});
afterAll(() => database.drop());

function toolCall({ messageId, chatId }: LabMessage, id: string, output?: unknown): FrameBody {
  const call = {
    tool_call_id: id,
    title: id,
    kind: 'execute',
    status: 'completed' as const,
    locations: [],
    content: [],
  };
  return { type: 'tool_call', message_id: messageId, chat_id: chatId, call: { ...call, raw_output: output } };
}

/** The same connection pool, counting the statements that go through it. */
function counting(sql: Sql): { sql: Sql; statements: () => number } {
  let statements = 0;
  const counted = new Proxy(sql, {
    apply: (target, self, args) => {
      statements += 1;
      return Reflect.apply(target, self, args) as unknown;
    },
  });
  return { sql: counted, statements: () => statements };
}

test('frames are in the order in which they were appended, without gaps, while steps write to the same session', async () => {
  const message = await labSession(sql);
  const stream = await openStream(sql, new FrameWriter(sql), message);
  const steps = (async () => {
    for (let i = 0; i < 25; i += 1) await append(sql, message, [{ type: 'warning', message: `step ${i}` }]);
  })();
  for (let i = 0; i < 300; i += 1) {
    stream.append(i % 3 === 0 ? toolCall(message, `call ${i}`) : delta(message, `${i} `));
    if (i % 20 === 0) await delay(1); // spreads the frames over several statements
  }
  await Promise.all([stream.flush(), steps]);
  const log = await logOf(sql, message.sessionId);
  const own = log.filter(({ body }) => body.type !== 'warning');
  const said = own.map(({ body }) =>
    body.type === 'tool_call' ? `[${body.call.tool_call_id}]` : body.type === 'delta' ? body.content : '',
  );
  const expected = Array.from({ length: 300 }, (_, i) => (i % 3 === 0 ? `[call ${i}]` : `${i} `));
  expect(said.join('')).toBe(expected.join(''));
  expect(await expectNoHoles(sql, message.sessionId)).toBe(own.length + 25);
});

test('frames of several turns at the same time are inserted with one statement', async () => {
  const { sql: counted, statements } = counting(sql);
  const writer = new FrameWriter(counted);
  const messages = await Promise.all(Array.from({ length: 8 }, () => labSession(sql)));
  const streams = await Promise.all(messages.map((message) => openStream(sql, writer, message)));
  streams.forEach((stream, i) => {
    const message = messages[i];
    if (message) for (let n = 0; n < 5; n += 1) stream.append(toolCall(message, `${i}.${n}`));
  });
  await Promise.all(streams.map((stream) => stream.flush()));
  expect(statements()).toBe(1);
  const logs = await Promise.all(messages.map(({ sessionId }) => logOf(sql, sessionId)));
  expect(new Set(logs.flat().map(({ xmin }) => xmin)).size).toBe(1);
  for (const [i, log] of logs.entries()) {
    expect(log.map(({ seq }) => seq)).toEqual([1, 2, 3, 4, 5]);
    const ids = log.map(({ body }) => (body.type === 'tool_call' ? body.call.tool_call_id : ''));
    expect(ids).toEqual([0, 1, 2, 3, 4].map((n) => `${i}.${n}`));
  }
});

test('text that arrives faster than it is written becomes few frames, one kind of text each', async () => {
  const message = await labSession(sql);
  const stream = await openStream(sql, new FrameWriter(sql), message);
  const { messageId: message_id, chatId: chat_id } = message;
  for (let i = 0; i < 1_000; i += 1) stream.append(delta(message, 'tick '));
  stream.append({ type: 'reasoning_delta', message_id, chat_id, content: 'hm ' });
  stream.append({ type: 'reasoning_delta', message_id, chat_id, content: 'well' });
  stream.append(delta(message, 'end'));
  await stream.flush();
  const bodies = (await logOf(sql, message.sessionId)).map(({ body }) => body);
  expect(bodies).toEqual([
    { type: 'delta', message_id, chat_id, content: 'tick '.repeat(1_000) },
    { type: 'reasoning_delta', message_id, chat_id, content: 'hm well' },
    { type: 'delta', message_id, chat_id, content: 'end' },
  ]);
});

test('any text arrives unchanged, except U+0000 and lone surrogates', async () => {
  const writer = new FrameWriter(sql);
  const unit = fc.oneof(
    fc.constantFrom('\0', '\ud83d', '\ude00', '😀', '"', '\\', '\\u0000', '\u001b', 'é', '\u2028'),
    fc.string({ unit: 'binary', maxLength: 5 }),
    // Around the length at which a frame is full.
    fc.constantFrom('x'.repeat(8_191), 'x'.repeat(8_190), '😀'.repeat(5_000)),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(unit, { maxLength: 12 }), async (parts) => {
      const message = await labSession(sql);
      const stream = await openStream(sql, writer, message);
      const text = parts.join('');
      stream.append(delta(message, text));
      stream.append({ type: 'warning', message: text.slice(0, 100) });
      await stream.flush();
      const clean = (dirty: string): string => dirty.toWellFormed().replaceAll('\0', '\ufffd');
      expect(await textOf(sql, message.sessionId)).toBe(clean(text));
      const bodies = (await logOf(sql, message.sessionId)).map(({ body }) => body);
      expect(bodies.at(-1)).toMatchObject({ message: clean(text.slice(0, 100)) });
    }),
    { numRuns: 40 },
  );
});

test('a pair of surrogates is never split between two frames', async () => {
  const message = await labSession(sql);
  const stream = await openStream(sql, new FrameWriter(sql), message);
  stream.append(delta(message, 'x'));
  for (let i = 0; i < 30; i += 1) stream.append(delta(message, '😀'.repeat(1_000)));
  await stream.flush();
  const log = await logOf(sql, message.sessionId);
  expect(log.length).toBeGreaterThan(7);
  for (const { body } of log) expect(body.type === 'delta' && body.content).not.toContain('\ufffd');
  expect(await textOf(sql, message.sessionId)).toBe(`x${'😀'.repeat(30_000)}`);
});

test('U+0000 and lone surrogates in values and in keys of a tool call do not stop the turn', async () => {
  const message = await labSession(sql);
  const stream = await openStream(sql, new FrameWriter(sql), message);
  stream.append(toolCall(message, 'dirty', { 'a\0b': ['\ud800', { '\udc00': '\0' }], '\\u0000': '\\ud800' }));
  await stream.flush();
  const [frame] = await logOf(sql, message.sessionId);
  expect(frame?.body).toMatchObject({
    call: { raw_output: { 'a\ufffdb': ['\ufffd', { '\ufffd': '\ufffd' }], '\\u0000': '\\ud800' } },
  });
});

test('no frame is larger than 64 KB, whatever its content', async () => {
  const message = await labSession(sql);
  const stream = await openStream(sql, new FrameWriter(sql), message);
  const { messageId: message_id, chatId: chat_id } = message;
  const huge = '\u001b'.repeat(70_000);
  stream.append(delta(message, huge));
  stream.append(toolCall(message, 'huge output', huge));
  stream.append(toolCall(message, huge));
  stream.append({
    type: 'plan',
    message_id,
    chat_id,
    entries: [{ content: huge, priority: 'high', status: 'pending' }],
  });
  stream.append({ type: 'warning', message: '€'.repeat(21_800) });
  stream.append(delta(message, 'after'));
  await stream.flush();
  const log = await logOf(sql, message.sessionId);
  for (const { seq, body } of log) {
    const envelope = { session_id: message.sessionId, seq, task_id: message.taskId, at: new Date().toISOString() };
    expect(Buffer.byteLength(JSON.stringify({ ...envelope, ...body }))).toBeLessThanOrEqual(64 * 1024);
  }
  expect(await textOf(sql, message.sessionId)).toBe(`${huge}after`);
  const rest = log.filter(({ body }) => body.type !== 'delta').map(({ body }) => body);
  // What a reader sees of them: the call without its output, and a word about what was left out.
  expect(rest[0]).toMatchObject({ type: 'tool_call', call: { tool_call_id: 'huge output', status: 'completed' } });
  expect(rest.slice(1).map(({ type }) => type)).toEqual(['warning', 'warning', 'warning']);
});

test('a turn with 4 MB in memory accepts no more until the database has stored them', async () => {
  const message = await labSession(sql);
  const stream = await openStream(sql, new FrameWriter(sql), message);
  const lock = await hold(sql, (tx) => tx`SELECT FROM sessions WHERE id = ${message.sessionId} FOR UPDATE`);
  const part = 'x'.repeat(8_000);
  let chars = 0;
  const say = (upTo: number): void => {
    for (; chars < upTo; chars += part.length) stream.append(delta(message, part));
  };
  say(MAX_BUFFERED_BYTES * 0.9);
  await stream.room();
  say(MAX_BUFFERED_BYTES);
  let room = false;
  const waiting = stream.room().then(() => (room = true));
  await delay(60); // no event shows that there is no room; a writer that ignores the limit resolves at once
  expect(room).toBe(false);
  await lock.release();
  await waiting;
  await stream.flush();
  expect((await textOf(sql, message.sessionId)).length).toBe(chars);
  await expectNoHoles(sql, message.sessionId);
});

test('frames of one turn that the database refuses do not affect another turn', async () => {
  const errors: unknown[] = [];
  const writer = new FrameWriter(sql, (error) => errors.push(error));
  const [good, bad] = [await labSession(sql), await labSession(sql)];
  const fine = await openStream(sql, writer, good);
  const taken = await takeLabTurn(sql, bad);
  const refused = streamOf(writer, { ...bad, taskId: 'no uuid' as TaskId }, taken);
  fine.append(delta(good, 'one'));
  refused.append(delta(bad, 'two'));
  await fine.flush();
  await expect(refused.flush()).rejects.toMatchObject({ code: 'internal_error' });
  expect(refused.lost.aborted).toBe(true);
  expect(errors).toHaveLength(1);
  expect(await textOf(sql, good.sessionId)).toBe('one');
  expect(await logOf(sql, bad.sessionId)).toEqual([]);
  fine.append(delta(good, ' more'));
  await fine.flush();
  expect(await textOf(sql, good.sessionId)).toBe('one more');
});

test('frames appended before a stream is closed are written, later ones are not', async () => {
  const message = await labSession(sql);
  const stream = await openStream(sql, new FrameWriter(sql), message);
  stream.append(delta(message, 'last words'));
  stream.close();
  stream.append(delta(message, ' and more'));
  await stream.flush();
  expect(await textOf(sql, message.sessionId)).toBe('last words');
});
