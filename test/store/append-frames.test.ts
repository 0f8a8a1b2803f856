import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { appendKeyed, type KeyedFrame } from '../../store/append-frames.ts';
import { FRAMES_CHANNEL } from '../../store/channels.ts';
import { FrameWriter } from '../../frames/writer.ts';
import type { Sql } from '../../store/sql.ts';
import type { SessionId } from '../../contract/ids.ts';
import { freshDatabase, type LabDatabase } from '../lab/database.ts';
import { delta, labSession, type LabMessage } from '../lab/log.ts';
import { expectNoHoles, logOf, openStream, textOf } from '../lab/turn.ts';
import { until } from '../lab/until.ts';

let database: LabDatabase;
let sql: Sql;
beforeAll(async () => {
  database = await freshDatabase();
  ({ sql } = database);
});
afterAll(() => database.drop());

const warning = (key: string, message = key): KeyedFrame => ({ key, body: { type: 'warning', message } });
const add = ({ sessionId }: Pick<LabMessage, 'sessionId'>, ...frames: KeyedFrame[]) =>
  sql.begin((tx) => appendKeyed(tx, sessionId, frames));
const keysOf = async ({ sessionId }: LabMessage) => (await logOf(sql, sessionId)).map(({ key }) => key);

test('a key that the session already has adds no frame, at any position of the batch', async () => {
  const message = await labSession(sql);
  await add(message, warning('a', 'first'));
  await add(message, warning('a', 'again'));
  await add(message, warning('b'), warning('a', 'once more'), warning('c'), warning('c'));
  const log = await logOf(sql, message.sessionId);
  expect(log.map(({ seq, body }) => [seq, body.type === 'warning' && body.message])).toEqual([
    [1, 'first'],
    [2, 'b'],
    [3, 'c'],
  ]);
  await expectNoHoles(sql, message.sessionId);
});

test('the same key can be used in another session', async () => {
  const [one, other] = [await labSession(sql), await labSession(sql)];
  await add(one, warning('a'));
  await add(other, warning('a'));
  expect(await keysOf(other)).toEqual(['a']);
});

test('twenty concurrent steps write each key once, without gaps', async () => {
  const message = await labSession(sql);
  await Promise.all(Array.from({ length: 20 }, (_, i) => add(message, warning('shared'), warning(`own ${i}`))));
  expect(await expectNoHoles(sql, message.sessionId)).toBe(21);
  const keys = await keysOf(message);
  expect(keys.filter((key) => key === 'shared')).toHaveLength(1);
  expect(keys[0]).toBe('shared');
});

test('steps beside a writing turn leave no gap and do not change its count', async () => {
  const message = await labSession(sql);
  const stream = await openStream(sql, new FrameWriter(sql), message);
  const words = Array.from({ length: 40 }, (_, i) => `${i} `);
  const steps = Promise.all(Array.from({ length: 20 }, (_, i) => add(message, warning(`step ${i % 10}`))));
  for (const word of words) {
    stream.append(delta(message, word));
    await new Promise((resolve) => setTimeout(resolve, 3)); // spreads the words over several statements
  }
  await Promise.all([steps, stream.flush()]);
  expect(await textOf(sql, message.sessionId)).toBe(words.join(''));
  await expectNoHoles(sql, message.sessionId);
  expect((await keysOf(message)).filter((key) => key !== null)).toHaveLength(10);
});

test('frames of a transaction that is rolled back leave no trace and no gap', async () => {
  const message = await labSession(sql);
  const failed = sql.begin(async (tx) => {
    await appendKeyed(tx, message.sessionId, [warning('a')]);
    throw new Error('no');
  });
  await expect(failed).rejects.toThrow('no');
  await add(message, warning('b'));
  expect(await keysOf(message)).toEqual(['b']);
  await expectNoHoles(sql, message.sessionId);
});

test('a frame of a deleted session is omitted', async () => {
  const message = { sessionId: randomUUID() as SessionId };
  await add(message, warning('a'));
  expect(await logOf(sql, message.sessionId)).toEqual([]);
});

test('readers are notified of the new last number, and only if a frame was added', async () => {
  const message = await labSession(sql);
  const heard: string[] = [];
  const listening = await sql.listen(FRAMES_CHANNEL, (payload) => {
    if (payload.startsWith(message.sessionId)) heard.push(payload.slice(37));
  });
  await add(message, warning('a'), warning('b'));
  await add(message, warning('a'));
  await add(message, warning('c'));
  await until('the second wake-up', () => heard.length === 2);
  expect(heard).toEqual(['2', '3']);
  await listening.unlisten();
});

test('text that Postgres would refuse and a message that is too long are stored in a valid form', async () => {
  const message = await labSession(sql);
  const { messageId: message_id, chatId: chat_id } = message;
  const content = '€'.repeat(40_000);
  await add(message, warning('a', 'a\0b\ud800'), {
    key: 'b',
    body: { type: 'message', message_id, chat_id, role: 'user', status: 'complete', content },
  });
  const [first, second] = (await logOf(sql, message.sessionId)).map(({ body }) => body);
  expect(first).toMatchObject({ message: 'a\ufffdb\ufffd' });
  expect(second).toMatchObject({ type: 'message', message_id, content: content.slice(0, 8_192) });
});
