import { randomUUID } from 'node:crypto';
import * as fc from 'fast-check';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { FrameWriter } from '../../frames/writer.ts';
import {
  adoptTurn,
  endAttempts,
  failuresBefore,
  openAttempts,
  recordAgentSession,
  recordAttemptFailure,
  recordOutcome,
  recordSpawn,
  takeTurn,
} from '../../store/attempts.ts';
import { connect, type Sql } from '../../store/sql.ts';
import type { AgentSessionId, TaskId } from '../../contract/ids.ts';
import { freshDatabase, type LabDatabase } from '../lab/database.ts';
import { delta, labSession, type LabMessage } from '../lab/log.ts';
import { LAB_TURN, openStream, streamOf, takeLabTurn, type Taken } from '../lab/turn.ts';
import { blockedBackend, hold } from '../lab/until.ts';

let database: LabDatabase;
let sql: Sql;
beforeAll(async () => {
  database = await freshDatabase();
  ({ sql } = database);
});
afterAll(() => database.drop());

const take = (message: LabMessage, attempt: number, db = sql) =>
  takeTurn(db, { ...LAB_TURN, taskId: message.taskId, attempt });

const spawned = (message: LabMessage, attempt: number, { token, sessionId }: Taken, db = sql) =>
  recordSpawn(db, { taskId: message.taskId, attempt, sessionId, token, pid: 1000 + attempt, pidStart: 'start' });

async function writerOf({ sessionId }: LabMessage): Promise<string | null> {
  const [row] = await sql<{ writer: string | null }[]>`SELECT writer FROM sessions WHERE id = ${sessionId}`;
  return row?.writer ?? null;
}

/** A connection of its own, whose statements the test can see waiting. */
function ownSql(): { own: Sql; name: string } {
  const name = `attempt ${randomUUID().slice(0, 8)}`;
  const own = connect(database.url, { max: 1, applicationName: name });
  onTestFinished(() => own.end({ timeout: 1 }));
  return { own, name };
}

test('a newer attempt takes the turn and gets what the older ones left; an older one cannot take it back', async () => {
  const message = await labSession(sql);
  const first = await takeLabTurn(sql, message, 1);
  expect(first).toMatchObject({ sessionId: message.sessionId, seq: 0, earlier: [] });
  expect(await spawned(message, 1, first)).toBe(true);
  const agentSessionId = 'agent-1' as AgentSessionId;
  await recordAgentSession(sql, {
    taskId: message.taskId,
    attempt: 1,
    agentSessionId,
    ran: { model: 'm', mode: null, thinking: null, agent_version: null },
  });
  await recordAttemptFailure(sql, { taskId: message.taskId, attempt: 1, code: 'agent_crashed' });

  const second = await takeLabTurn(sql, message, 3);
  expect(second.token).not.toBe(first.token);
  expect(second.earlier).toMatchObject([
    { attempt: 1, pid: 1001, pid_start: 'start', agent_session_id: 'agent-1', error_code: 'agent_crashed' },
  ]);
  expect(await take(message, 2)).toMatchObject({ kind: 'superseded', reason: 'attempt 3 has the turn' });
  expect(await take(message, 1)).toMatchObject({ kind: 'superseded' });
  expect(await spawned(message, 1, first)).toBe(false);
  expect(await writerOf(message)).toBe(second.token);
  const [task] = await sql`SELECT phase FROM tasks WHERE id = ${message.taskId}`;
  expect(task).toEqual({ phase: 'starting' });
});

test('an attempt that Temporal counts again after it lost newer ones is numbered after those of dead workers', async () => {
  const message = await labSession(sql);
  await takeLabTurn(sql, message, 1);
  await takeLabTurn(sql, message, 2);
  const forgotten = { ...LAB_TURN, taskId: message.taskId, attempt: 1, isWorkerAlive: () => false };
  expect(await takeTurn(sql, forgotten)).toMatchObject({ kind: 'taken', attempt: 3, earlier: [{}, {}] });
  // Of a run that Temporal began anew, as it had forgotten the first.
  const anew = { ...forgotten, runId: 'run-2' };
  expect(await takeTurn(sql, anew)).toMatchObject({ kind: 'taken', attempt: 4 });
  // No attempt gets the turn of a task that has ended.
  await recordAttemptFailure(sql, { taskId: message.taskId, attempt: 4, code: 'agent_crashed' });
  expect(await takeTurn(sql, { ...anew, attempt: 2, isWorkerAlive: () => true })).toMatchObject({
    kind: 'taken',
    attempt: 5,
  });
});

test('no attempt gets the turn of a task whose cancel was requested; a stored outcome is still found', async () => {
  const message = await labSession(sql);
  const stream = await openStream(sql, new FrameWriter(sql), message);
  await sql`UPDATE tasks SET cancel_requested_at = now() WHERE id = ${message.taskId}`;
  expect(await take(message, 2)).toEqual({ kind: 'cancel_requested' });
  const outcome = { kind: 'completed', attempt: 1 } as const;
  await stream.commit([], (tx) => recordOutcome(tx, { taskId: message.taskId, attempt: 1, outcome }));
  expect(await take(message, 2)).toEqual({ kind: 'done', outcome });
});

test('an attempt that asks twice, because the response was lost, has the turn with a new token', async () => {
  const message = await labSession(sql);
  const first = await takeLabTurn(sql, message, 1);
  const again = await takeLabTurn(sql, message, 1);
  expect(again.earlier).toEqual([]);
  expect(await spawned(message, 1, first)).toBe(false);
  expect(await spawned(message, 1, again)).toBe(true);
});

test.each(['pending', 'completed', 'failed', 'cancelled'])(
  'no attempt gets the turn of a task that is %s',
  async (state) => {
    const message = await labSession(sql, state);
    expect(await take(message, 1)).toEqual({ kind: 'superseded', reason: `the task is ${state}` });
    expect(await writerOf(message)).toBeNull();
  },
);

test('another run of the task does not get the turn', async () => {
  const message = await labSession(sql);
  await sql`UPDATE tasks SET run_id = 'run-2' WHERE id = ${message.taskId}`;
  expect(await take(message, 1)).toMatchObject({
    kind: 'superseded',
    reason: expect.stringContaining('belongs to run run-2') as string,
  });
  await sql`UPDATE tasks SET run_id = 'run-1' WHERE id = ${message.taskId}`;
  expect(await take(message, 1)).toMatchObject({ kind: 'taken' });
});

test('a task or a session that was deleted is reported as gone', async () => {
  const message = await labSession(sql);
  expect(await takeTurn(sql, { ...LAB_TURN, taskId: randomUUID() as TaskId, attempt: 1 })).toEqual({ kind: 'gone' });
  await sql`DELETE FROM sessions WHERE id = ${message.sessionId}`;
  expect(await take(message, 1)).toEqual({ kind: 'gone' });
  expect(await sql`SELECT FROM attempts WHERE task_id = ${message.taskId}`).toHaveLength(0);
});

test('an outcome that did not reach Temporal is found by any later attempt', async () => {
  const message = await labSession(sql);
  const stream = await openStream(sql, new FrameWriter(sql), message);
  const outcome = { kind: 'failed', code: 'agent_refused', message: 'no \0 way', attempt: 1 } as const;
  await stream.commit([], (tx) => recordOutcome(tx, { taskId: message.taskId, attempt: 1, outcome }));
  const kept = { ...outcome, message: 'no \ufffd way' };
  expect(await take(message, 2)).toEqual({ kind: 'done', outcome: kept });
  await recordAttemptFailure(sql, { taskId: message.taskId, attempt: 1, code: 'worker_lost' });
  expect(await take(message, 1)).toEqual({ kind: 'done', outcome: kept });
  expect(await openAttempts(sql, 'lab')).not.toContainEqual(expect.objectContaining({ task_id: message.taskId }));
});

test('an attempt that asks while the older one commits its outcome waits and finds the outcome', async () => {
  const { own, name } = ownSql();
  const message = await labSession(sql);
  const stream = await openStream(sql, new FrameWriter(sql), message);
  const outcome = { kind: 'completed', attempt: 1 } as const;
  let asked: ReturnType<typeof take> | undefined;
  await stream.commit([delta(message, 'end')], async (tx) => {
    asked = take(message, 2, own);
    await blockedBackend(sql, name);
    await recordOutcome(tx, { taskId: message.taskId, attempt: 1, outcome });
  });
  expect(await asked).toEqual({ kind: 'done', outcome });
});

test('a turn that waited for a limit continues with the next attempt, unless the wait did not reach Temporal', async () => {
  const message = await labSession(sql);
  const { taskId } = message;
  await takeLabTurn(sql, message, 1);
  const first = { kind: 'waiting', until: '2030-01-01T00:00:00.000Z', attempt: 1 } as const;
  await recordOutcome(sql, { taskId, attempt: 1, outcome: first });
  expect(await take(message, 2)).toEqual({ kind: 'done', outcome: first });
  const goOn = (attempt: number, waits: number) => takeTurn(sql, { ...LAB_TURN, taskId, attempt, waits });
  await sql`UPDATE tasks SET phase = 'waiting_limit', waits_until = now() WHERE id = ${taskId}`;
  expect(await goOn(2, 1)).toMatchObject({ kind: 'taken', earlier: [{ attempt: 1, outcome: first }] });
  expect(await sql`SELECT phase, waits_until FROM tasks WHERE id = ${taskId}`).toEqual([
    { phase: 'starting', waits_until: null },
  ]);
  const second = { ...first, attempt: 2 };
  await recordOutcome(sql, { taskId, attempt: 2, outcome: second });
  expect(await goOn(3, 1)).toEqual({ kind: 'done', outcome: second });
  expect(await goOn(3, 2)).toMatchObject({ kind: 'taken' });
  const last = { kind: 'completed', attempt: 3 } as const;
  await recordOutcome(sql, { taskId, attempt: 3, outcome: last });
  expect(await goOn(4, 2)).toEqual({ kind: 'done', outcome: last });
});

test("failures are counted since the task's last wait, without those that do not count, with the age of the first", async () => {
  const message = await labSession(sql);
  const { taskId } = message;
  const fail = async (attempt: number, code: 'agent_crashed' | 'worker_lost'): Promise<void> => {
    await takeTurn(sql, { ...LAB_TURN, taskId, attempt, waits: 1 });
    await recordAttemptFailure(sql, { taskId, attempt, code });
  };
  const before = (attempt: number) => failuresBefore(sql, { taskId, attempt, uncounted: ['worker_lost'] });
  await fail(1, 'agent_crashed');
  expect(await before(1)).toEqual({ count: 0, sinceFirstMs: 0 });
  expect(await before(2)).toMatchObject({ count: 1 });
  await takeTurn(sql, { ...LAB_TURN, taskId, attempt: 2, waits: 1 });
  await recordOutcome(sql, { taskId, attempt: 2, outcome: { kind: 'waiting', until: '2030-01-01', attempt: 2 } });
  expect(await before(3)).toEqual({ count: 0, sinceFirstMs: 0 });
  await fail(3, 'worker_lost');
  await fail(4, 'agent_crashed');
  await sql`UPDATE attempts SET ended_at = now() - interval '1 hour' WHERE task_id = ${taskId} AND attempt = 4`;
  await fail(5, 'agent_crashed');
  const { count, sinceFirstMs } = await before(6);
  expect(count).toBe(2);
  expect(sinceFirstMs).toBeGreaterThanOrEqual(3_600_000);
  expect(sinceFirstMs).toBeLessThan(7_200_000);
});

test('a process that was spawned while a newer attempt took the turn is not recorded', async () => {
  const { own, name } = ownSql();
  const message = await labSession(sql);
  const first = await takeLabTurn(sql, message, 1);
  const lock = await hold(
    sql,
    (tx) => tx`UPDATE sessions SET writer = ${randomUUID()} WHERE id = ${message.sessionId}`,
  );
  const recorded = spawned(message, 1, first, own);
  await blockedBackend(sql, name);
  await lock.release();
  expect(await recorded).toBe(false);
  const [row] = await sql`SELECT pid FROM attempts WHERE task_id = ${message.taskId}`;
  expect(row).toEqual({ pid: null });
});

test('a turn that continues is adopted with its token, and earlier attempts are ended', async () => {
  const message = await labSession(sql);
  const taken = await takeLabTurn(sql, message, 1);
  await spawned(message, 1, taken);
  expect(await adoptTurn(sql, { taskId: message.taskId, attempt: 2, from: 1 })).toBe(true);
  expect(await adoptTurn(sql, { taskId: message.taskId, attempt: 3, from: 1 })).toBe(true);
  expect(await writerOf(message)).toBe(taken.token);
  const open = (await openAttempts(sql, 'lab')).filter((row) => row.task_id === message.taskId);
  expect(open).toMatchObject([{ attempt: 3, worker_pid: LAB_TURN.worker.pid }]);
  const stream = streamOf(new FrameWriter(sql), message, taken);
  stream.append(delta(message, 'still here'));
  await stream.flush();
  expect(await take(message, 2)).toMatchObject({ kind: 'superseded' });
});

test('a turn is not adopted by an older attempt, nor twice by the same', async () => {
  const message = await labSession(sql);
  await takeLabTurn(sql, message, 2);
  expect(await adoptTurn(sql, { taskId: message.taskId, attempt: 1, from: 2 })).toBe(false);
  expect(await adoptTurn(sql, { taskId: message.taskId, attempt: 2, from: 2 })).toBe(false);
  expect(await adoptTurn(sql, { taskId: message.taskId, attempt: 3, from: 2 })).toBe(true);
  expect(await adoptTurn(sql, { taskId: message.taskId, attempt: 3, from: 2 })).toBe(false);
});

test('a turn that another process has taken meanwhile, or that is closed, is not adopted', async () => {
  const message = await labSession(sql);
  await takeLabTurn(sql, message, 1);
  await takeLabTurn(sql, message, 2); // elsewhere
  expect(await adoptTurn(sql, { taskId: message.taskId, attempt: 3, from: 1 })).toBe(false);
  expect(await adoptTurn(sql, { taskId: message.taskId, attempt: 3, from: 2 })).toBe(true);
  await sql.begin((tx) => endAttempts(tx, message.taskId, message.sessionId));
  expect(await adoptTurn(sql, { taskId: message.taskId, attempt: 4, from: 3 })).toBe(false);
});

test('after the attempts of a task are ended none can write or record anything', async () => {
  const message = await labSession(sql);
  const taken = await takeLabTurn(sql, message, 1);
  const stream = streamOf(new FrameWriter(sql), message, taken);
  await sql.begin((tx) => endAttempts(tx, message.taskId, message.sessionId));
  stream.append(delta(message, 'late'));
  await expect(stream.flush()).rejects.toMatchObject({ code: 'superseded' });
  expect(await spawned(message, 1, taken)).toBe(false);
});

test('for any order of requests the newest attempt has the turn in the end and none blocks another permanently', async () => {
  const attempts = fc.shuffledSubarray([1, 2, 3, 4, 5, 6], { minLength: 2 });
  await fc.assert(
    fc.asyncProperty(attempts, fc.boolean(), async (order, together) => {
      const message = await labSession(sql);
      const taken: { attempt: number; token: string }[] = [];
      const ask = async (attempt: number): Promise<void> => {
        const answer = await take(message, attempt);
        if (answer.kind !== 'taken') return;
        taken.push({ attempt, token: answer.token });
        await spawned(message, attempt, answer);
      };
      if (together) await Promise.all(order.map(ask));
      else for (const attempt of order) await ask(attempt);
      const newest = Math.max(...order);
      expect(taken.find(({ attempt }) => attempt === newest)?.token).toBe(await writerOf(message));
      const open = (await openAttempts(sql, 'lab')).filter((row) => row.task_id === message.taskId);
      expect(open.map(({ attempt }) => attempt)).toEqual([newest]);
    }),
    { numRuns: 40 },
  );
});

test('concurrent attempts never deadlock', async () => {
  const message = await labSession(sql);
  let last = await takeLabTurn(sql, message, 1);
  const writer = new FrameWriter(sql);
  for (let attempt = 2; attempt <= 60; attempt += 1) {
    const stream = streamOf(writer, message, last);
    const [next] = await Promise.all([
      takeLabTurn(sql, message, attempt),
      spawned(message, attempt - 1, last),
      stream
        .commit([delta(message, '.')], async (tx) => {
          await tx`UPDATE attempts SET pid = 1 WHERE task_id = ${message.taskId} AND attempt = ${attempt - 1}`;
        })
        .catch(() => undefined),
    ]);
    last = next;
  }
  const [row] = await sql<{ deadlocks: number }[]>`
    SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()`;
  expect(row).toEqual({ deadlocks: 0 });
});

test.each([
  5,
  'completed',
  [],
  {},
  { kind: 'paused' },
  { kind: 'failed', code: 'unheard_of', message: 'x' },
  { kind: 'failed', code: 'agent_crashed', message: { no: 'text' } },
  { kind: 'waiting', until: 'infinity' },
  { kind: 'waiting', until: '+200000-01-01T00:00:00Z' },
])('an outcome of another shape, %j, fails its own task with a sentence', async (outcome) => {
  const message = await labSession(sql);
  await takeLabTurn(sql, message, 1);
  await sql`UPDATE attempts SET outcome = ${JSON.stringify(outcome)}::text::jsonb WHERE task_id = ${message.taskId}`;
  expect(await take(message, 2)).toEqual({
    kind: 'done',
    outcome: {
      kind: 'failed',
      code: 'internal_error',
      message: expect.stringMatching(/^The recorded outcome of attempt 1 .* Submit the task again\.$/) as string,
      attempt: 1,
    },
  });
});

test('an outcome with further fields, or with the number of another attempt, counts', async () => {
  const message = await labSession(sql);
  await takeLabTurn(sql, message, 1);
  await sql`UPDATE attempts SET outcome = '{"kind": "completed", "attempt": "x", "more": 1}' WHERE task_id = ${message.taskId}`;
  expect(await take(message, 2)).toEqual({ kind: 'done', outcome: { kind: 'completed', attempt: 1 } });
});

test('an outcome that is null in JSON is none', async () => {
  const message = await labSession(sql);
  await takeLabTurn(sql, message, 1);
  await sql`UPDATE attempts SET outcome = 'null' WHERE task_id = ${message.taskId}`;
  expect(await take(message, 2)).toMatchObject({ kind: 'taken', earlier: [{ outcome: null }] });
});

test('a chat keeps its conversation with each agent', async () => {
  const first = await labSession(sql);
  const [pane] = await sql<{ id: string }[]>`INSERT INTO chats (session_id) VALUES (${first.sessionId}) RETURNING id`;
  await sql`UPDATE tasks SET agent = 'demo', chat_id = ${first.chatId} WHERE id = ${first.taskId}`;
  await takeLabTurn(sql, first, 1);
  const agentSessionId = 'of the first chat' as AgentSessionId;
  const ran = { model: null, mode: null, thinking: null, agent_version: null };
  await recordAgentSession(sql, { taskId: first.taskId, attempt: 1, agentSessionId, ran });
  await sql`UPDATE tasks SET state = 'completed' WHERE id = ${first.taskId}`;
  const conversationIn = async (chatId: string, agent: string): Promise<unknown> => {
    const taskId = randomUUID() as TaskId;
    await sql`INSERT INTO tasks (id, session_id, chat_id, agent, state) VALUES (${taskId}, ${first.sessionId}, ${chatId}, ${agent}, 'running')`;
    const taken = await takeLabTurn(sql, { ...first, taskId }, 1);
    return taken.conversation;
  };
  expect(await conversationIn(first.chatId, 'demo')).toBe(agentSessionId);
  expect(await conversationIn(pane?.id ?? '', 'demo')).toBeUndefined();
  expect(await conversationIn(first.chatId, 'other')).toBeUndefined();
});
