import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import type { FrameBody } from '../../contract/frame.ts';
import { FrameWriter } from '../../frames/writer.ts';
import { recordOutcome } from '../../store/attempts.ts';
import { connect, type Sql } from '../../store/sql.ts';
import { freshDatabase, type LabDatabase } from '../lab/database.ts';
import { append, delta, labSession, type LabMessage } from '../lab/log.ts';
import { tcpProxy, type TcpProxy } from '../lab/tcp-proxy.ts';
import { expectNoHoles, logOf, openStream, takeLabTurn, textOf } from '../lab/turn.ts';
import { blockedBackend, hold, until } from '../lab/until.ts';

let database: LabDatabase;
let sql: Sql;
beforeAll(async () => {
  database = await freshDatabase();
  ({ sql } = database);
});
afterAll(() => database.drop());

/** A connection that the test can tell from its own. */
function writerSql(url = database.url): { own: Sql; name: string } {
  const name = `writer ${randomUUID().slice(0, 8)}`;
  const own = connect(url, { max: 1, applicationName: name });
  onTestFinished(() => own.end({ timeout: 1 }));
  return { own, name };
}

async function proxied(): Promise<{ own: Sql; proxy: TcpProxy }> {
  const proxy = await tcpProxy(database.url);
  onTestFinished(() => proxy.close());
  const { own } = writerSql(proxy.url);
  return { own, proxy };
}

const lockSession = ({ sessionId }: LabMessage) =>
  hold(sql, (tx) => tx`SELECT FROM sessions WHERE id = ${sessionId} FOR UPDATE`);

const complete = ({ messageId, chatId }: LabMessage): FrameBody => ({
  type: 'message_complete',
  message_id: messageId,
  chat_id: chatId,
  status: 'complete',
});

async function outcomes({ taskId }: LabMessage): Promise<unknown[]> {
  const rows = await sql`SELECT outcome FROM attempts WHERE task_id = ${taskId} AND outcome IS NOT NULL`;
  return rows.map((row) => row['outcome'] as unknown);
}

test('a connection killed in the middle of a write loses and repeats no frame, also with new frames meanwhile', async () => {
  const { own, name } = writerSql();
  const errors: unknown[] = [];
  const message = await labSession(sql);
  const stream = await openStream(own, new FrameWriter(own, (error) => errors.push(error)), message);
  for (let round = 0; round < 3; round += 1) {
    const lock = await lockSession(message);
    stream.append(delta(message, `${round}a `));
    const pid = await blockedBackend(sql, name);
    stream.append({ type: 'warning', message: `round ${round}` });
    stream.append(delta(message, `${round}b `));
    await sql`SELECT pg_terminate_backend(${pid})`;
    await until('the failure', () => errors.length > round);
    await lock.release();
    await stream.flush();
  }
  expect(await textOf(sql, message.sessionId)).toBe('0a 0b 1a 1b 2a 2b ');
  expect(await expectNoHoles(sql, message.sessionId)).toBe(9);
});

test('a write whose response is lost is in the log once, also with new frames meanwhile', async () => {
  const { own, proxy } = await proxied();
  const errors: unknown[] = [];
  const writer = new FrameWriter(own, (error) => errors.push(error));
  const [message, other] = [await labSession(sql), await labSession(sql)];
  const stream = await openStream(own, writer, message);
  const beside = await openStream(own, writer, other);
  for (let round = 0; round < 3; round += 1) {
    stream.append(delta(message, `${round}a `)); // by now the connection knows the statement
    await stream.flush();
    proxy.loseAnswers();
    stream.append(delta(message, `${round}b `));
    beside.append(delta(other, `${round} `));
    await until('the commit', async () => (await textOf(sql, other.sessionId)).endsWith(`${round} `));
    stream.append(delta(message, `${round}c `));
    proxy.cut();
    await Promise.all([stream.flush(), beside.flush()]);
  }
  // A step wrote between the lost answer and the next write: its frame is not taken for one of ours.
  proxy.loseAnswers();
  stream.append(delta(message, 'last'));
  await until('the commit', async () => (await textOf(sql, message.sessionId)).endsWith('last'));
  await append(sql, message, [{ type: 'warning', message: 'a step' }]);
  stream.append(delta(message, ' words'));
  proxy.cut();
  await stream.flush();

  expect(errors.length).toBeGreaterThanOrEqual(4);
  expect(await textOf(sql, message.sessionId)).toBe('0a 0b 0c 1a 1b 1c 2a 2b 2c last words');
  expect(await textOf(sql, other.sessionId)).toBe('0 1 2 ');
  expect(await expectNoHoles(sql, message.sessionId)).toBe(12);
  expect(stream.seq).toBe(12);
});

test('a write that waits for the session while a newer attempt takes the turn is refused', async () => {
  const { own, name } = writerSql();
  const message = await labSession(sql);
  const stream = await openStream(own, new FrameWriter(own), message);
  const newToken = randomUUID();
  const lock = await hold(
    sql,
    (tx) => tx`UPDATE sessions SET writer = ${newToken}, written = 0 WHERE id = ${message.sessionId}`,
  );
  stream.append(delta(message, 'too late'));
  await blockedBackend(sql, name);
  await lock.release();
  await expect(stream.flush()).rejects.toMatchObject({ code: 'superseded' });
  expect(stream.lost.reason).toMatchObject({ code: 'superseded' });
  expect(await logOf(sql, message.sessionId)).toEqual([]);
  const [session] = await sql`SELECT seq, written, writer FROM sessions WHERE id = ${message.sessionId}`;
  expect(session).toMatchObject({ seq: 0, written: 0, writer: newToken });
});

test('a newer attempt continues to write while the outdated one is refused, and only that one gets the error', async () => {
  const message = await labSession(sql);
  const writer = new FrameWriter(sql);
  const zombie = await openStream(sql, writer, message);
  zombie.append(delta(message, 'old '));
  await zombie.flush();
  const taken = await takeLabTurn(sql, message, 2);
  expect(taken.seq).toBe(1);
  const { sessionId, taskId } = message;
  const next = new FrameWriter(sql).open({ sessionId, taskId, token: taken.token, written: 0, seq: taken.seq });
  next.append(delta(message, 'new '));
  zombie.append(delta(message, 'zombie '));
  await Promise.allSettled([next.flush(), zombie.flush()]);
  zombie.append(delta(message, 'again '));
  next.append(delta(message, 'newer'));
  await next.flush();
  expect(zombie.lost.aborted).toBe(true);
  expect(next.lost.aborted).toBe(false);
  await expect(zombie.room()).rejects.toMatchObject({ code: 'superseded' });
  expect(await textOf(sql, sessionId)).toBe('old new newer');
  await expectNoHoles(sql, sessionId);
});

test('a session that was deleted loses its stream', async () => {
  const message = await labSession(sql);
  const stream = await openStream(sql, new FrameWriter(sql), message);
  await sql`DELETE FROM sessions WHERE id = ${message.sessionId}`;
  stream.append(delta(message, 'x'));
  await expect(stream.flush()).rejects.toMatchObject({ code: 'superseded' });
});

const OUTCOME = { kind: 'completed', attempt: 1 } as const;

test("a turn's last frames and its outcome are stored together, once, also if the response to the commit is lost", async () => {
  const { own, proxy } = await proxied();
  const errors: unknown[] = [];
  const message = await labSession(sql);
  // The turn is taken elsewhere: a connection that knows the statement `commit` does not spell it out again.
  const stream = await openStream(sql, new FrameWriter(own, (error) => errors.push(error)), message);
  stream.append(delta(message, 'done'));
  await stream.flush();
  proxy.loseAnswers('commit');
  let runs = 0;
  const committed = stream.commit([complete(message)], async (tx) => {
    runs += 1;
    await recordOutcome(tx, { taskId: message.taskId, attempt: 1, outcome: OUTCOME });
  });
  await until('the commit', async () => (await outcomes(message)).length === 1);
  proxy.cut();
  await committed;
  expect(errors).toHaveLength(1);
  expect(runs).toBe(1);
  expect((await logOf(sql, message.sessionId)).map(({ body }) => body.type)).toEqual(['delta', 'message_complete']);
  expect(await outcomes(message)).toEqual([OUTCOME]);
});

test('a commit whose connection is killed before its end is repeated', async () => {
  const { own, name } = writerSql();
  const message = await labSession(sql);
  const stream = await openStream(own, new FrameWriter(own), message);
  let runs = 0;
  await stream.commit([complete(message)], async (tx) => {
    runs += 1;
    await recordOutcome(tx, { taskId: message.taskId, attempt: 1, outcome: OUTCOME });
    if (runs === 1) {
      await sql`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = ${name}`;
      await tx`SELECT 1`;
    }
  });
  expect(runs).toBe(2);
  expect(await expectNoHoles(sql, message.sessionId)).toBe(1);
  expect(await outcomes(message)).toEqual([OUTCOME]);
});

test('the commit of an outdated attempt is refused while it waits, and has no effect', async () => {
  const { own, name } = writerSql();
  const message = await labSession(sql);
  const stream = await openStream(own, new FrameWriter(own), message);
  const lock = await hold(
    sql,
    (tx) => tx`UPDATE sessions SET writer = ${randomUUID()}, written = 0 WHERE id = ${message.sessionId}`,
  );
  let worked = false;
  const committed = stream.commit([complete(message)], async () => {
    worked = true;
  });
  const refused = expect(committed).rejects.toMatchObject({ code: 'superseded' });
  await blockedBackend(sql, name);
  await lock.release();
  await refused;
  expect(worked).toBe(false);
  expect(stream.lost.reason).toMatchObject({ code: 'superseded' });
  expect(await logOf(sql, message.sessionId)).toEqual([]);
});

test('a commit whose work fails stores nothing, and waiting callers get the error', async () => {
  const message = await labSession(sql);
  const stream = await openStream(sql, new FrameWriter(sql), message);
  stream.append(delta(message, 'text'));
  const committed = stream.commit([complete(message)], async (tx) => {
    await tx`SELECT 1 / 0`;
  });
  await expect(committed).rejects.toMatchObject({ code: '22012' });
  await expect(stream.flush()).rejects.toMatchObject({ code: 'internal_error' });
  expect((await logOf(sql, message.sessionId)).map(({ body }) => body.type)).toEqual(['delta']);
});

test('connections that are killed at random lose and repeat no frame', async () => {
  const { own, name } = writerSql();
  const writer = new FrameWriter(own);
  const messages = await Promise.all(Array.from({ length: 4 }, () => labSession(sql)));
  const streams = await Promise.all(messages.map((message) => openStream(sql, writer, message)));
  const WORDS = 150;
  const killing = { on: true };
  const killer = (async () => {
    while (killing.on) {
      await sql`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = ${name}`;
      await new Promise((resolve) => setTimeout(resolve, 25)); // some statements succeed in between
    }
  })();
  for (let i = 0; i < WORDS; i += 1) {
    for (const [n, message] of messages.entries()) streams[n]?.append(delta(message, `${i} `));
    await new Promise((resolve) => setTimeout(resolve, 5)); // the kills hit different words
  }
  killing.on = false;
  await killer;
  await Promise.all(streams.map((stream) => stream.flush()));
  const expected = Array.from({ length: WORDS }, (_, i) => `${i} `).join('');
  for (const { sessionId } of messages) {
    expect(await textOf(sql, sessionId)).toBe(expected);
    await expectNoHoles(sql, sessionId);
  }
});
