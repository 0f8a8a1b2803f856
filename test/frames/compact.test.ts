import { randomUUID } from 'node:crypto';
import { setMaxListeners } from 'node:events';
import * as fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { appendKeyed } from '../../store/append-frames.ts';
import { compactFrames } from '../../frames/compact.ts';
import { type FollowedFrame, FrameHub, followFrames } from '../../frames/follow.ts';
import type { FrameBody } from '../../contract/frame.ts';
import { foldMessage } from '../../frames/read-message.ts';
import { type SnapshotFrame, takeSnapshot } from '../../frames/snapshot.ts';
import { FrameWriter } from '../../frames/writer.ts';
import { finishMessage } from '../../store/messages.ts';
import { connect, type Sql } from '../../store/sql.ts';
import type { MessageId } from '../../contract/ids.ts';
import { freshDatabase, type LabDatabase } from '../lab/database.ts';
import { append, delta, labSession, type LabMessage } from '../lab/log.ts';
import { logOf, openStream } from '../lab/turn.ts';
import { blockedBackend, hold, until } from '../lab/until.ts';

let database: LabDatabase;
let sql: Sql;
beforeAll(async () => {
  database = await freshDatabase();
  ({ sql } = database);
});
afterAll(() => database.drop());

const of = ({ messageId, chatId }: LabMessage) => ({ message_id: messageId, chat_id: chatId });

/** As a turn writes: frames without keys. */
async function emit(message: LabMessage, bodies: readonly FrameBody[]): Promise<void> {
  await sql.begin(async (tx) => {
    for (const body of bodies) {
      const { type, ...fields } = body;
      await tx`WITH moved AS (UPDATE sessions SET seq = seq + 1 WHERE id = ${message.sessionId} RETURNING seq)
        INSERT INTO frames (session_id, seq, type, task_id, body)
        SELECT ${message.sessionId}, seq, ${type}, ${message.taskId}, ${JSON.stringify(fields)}::text::jsonb FROM moved`;
    }
  });
}

async function finish(message: LabMessage): Promise<void> {
  const view = await foldMessage(sql, message);
  await sql.begin((tx) => finishMessage(tx, { ...view, id: message.messageId, status: 'complete', toolCalls: [...view.toolCalls.values()] })); // prettier-ignore
  await append(sql, message, [{ type: 'message_complete', ...of(message), status: 'complete' }]);
}

/** Everything of the session happened this much earlier. */
async function age({ sessionId }: LabMessage, seconds: number): Promise<void> {
  await sql`UPDATE frames SET at = at - ${seconds} * interval '1 second' WHERE session_id = ${sessionId}`;
  await sql`UPDATE messages SET finished_at = finished_at - ${seconds} * interval '1 second' WHERE session_id = ${sessionId}`;
}

/** The next message of the same session, with its first frame, as the first step writes it. */
async function nextMessage(message: LabMessage): Promise<LabMessage> {
  const next = { ...message, messageId: randomUUID() as MessageId };
  await sql.begin(async (tx) => {
    await tx`INSERT INTO messages (id, session_id, chat_id, task_id, role, content, status, created_at)
             VALUES (${next.messageId}, ${next.sessionId}, ${next.chatId}, ${next.taskId}, 'assistant', '', 'streaming', clock_timestamp())`;
    const body = { type: 'message_started', ...of(next), role: 'assistant' } as const;
    await appendKeyed(tx, next.sessionId, [{ key: randomUUID(), taskId: next.taskId, body }]);
  });
  return next;
}

function turn(message: LabMessage, words: number): FrameBody[] {
  const call = {
    tool_call_id: 't1',
    title: 'Edit',
    kind: 'edit',
    status: 'completed',
    locations: [],
    content: [],
  } as const;
  return [
    { type: 'agent_commands', commands: [{ name: `of ${words}`, description: '' }] },
    ...Array.from({ length: words }, (_, i) => delta(message, `${i} `)),
    { type: 'reasoning_delta', ...of(message), content: 'hm' },
    { type: 'tool_call', ...of(message), call },
    { type: 'plan', ...of(message), entries: [{ content: 'one', priority: 'high', status: 'pending' }] },
    { type: 'usage', usage: { total_tokens: words } },
    { type: 'warning', message: 'careful' },
  ];
}

async function compactedSeq({ sessionId }: LabMessage): Promise<number> {
  const [row] = await sql<{ compacted_seq: number }[]>`SELECT compacted_seq FROM sessions WHERE id = ${sessionId}`;
  return row?.compacted_seq ?? -1;
}

const types = async ({ sessionId }: LabMessage): Promise<string[]> => (await logOf(sql, sessionId)).map(({ body }) => body.type); // prettier-ignore

const snapshotOf = async ({ sessionId }: LabMessage): Promise<SnapshotFrame> => {
  const snapshot = await takeSnapshot(sql, sessionId);
  if (!snapshot) throw new Error('no session');
  return snapshot;
};

test('the frames of a finished message are removed after a minute; a snapshot is the same as before', async () => {
  const message = await labSession(sql);
  await append(sql, message, [{ type: 'message_started', ...of(message), role: 'assistant' }]);
  await emit(message, turn(message, 50));
  await finish(message);
  await age(message, 59);
  await compactFrames(sql);
  expect(await compactedSeq(message)).toBe(0);
  await age(message, 2);
  const before = await snapshotOf(message);
  expect(await compactFrames(sql)).toEqual({ sessions: 1, frames: 53 });
  expect(await types(message)).toEqual(['message_started', 'agent_commands', 'usage', 'warning', 'message_complete']);
  // The last that went was the plan: who has everything up to there has missed nothing.
  expect(await compactedSeq(message)).toBe(55);
  const after = await snapshotOf(message);
  expect(after.messages).toMatchObject([{ content: expect.stringMatching(/^0 1 .* 49 $/) as string, reasoning: 'hm' }]);
  expect({ ...after, at: before.at }).toEqual(before);
  expect(await compactFrames(sql)).toEqual({ sessions: 0, frames: 0 });
});

test('it stops before an unfinished message, whose text is only in the log', async () => {
  const first = await labSession(sql);
  await emit(first, turn(first, 10));
  await finish(first);
  const second = await nextMessage(first);
  await emit(second, turn(second, 20));
  await age(first, 3600);
  await compactFrames(sql);
  expect((await snapshotOf(first)).messages).toMatchObject([
    { status: 'complete', content: expect.stringMatching(/9 $/) as string },
    { status: 'streaming', content: expect.stringMatching(/^0 1 .*19 $/) as string, plan: [{ content: 'one' }] },
  ]);
  await finish(second);
  await age(first, 61);
  await compactFrames(sql);
  // Of commands and usage the newest are left.
  expect(await types(first)).toEqual([
    'warning',
    'message_complete',
    'message_started',
    'agent_commands',
    'usage',
    'warning',
    'message_complete',
  ]);
  expect(await snapshotOf(first)).toMatchObject({ commands: [{ name: 'of 20' }], usage: { total_tokens: 20 } });
});

test('frames of steps remain, so that a step that runs again adds none', async () => {
  const message = await labSession(sql);
  await append(sql, message, [delta(message, 'keyed')]);
  await emit(message, [delta(message, 'unkeyed')]);
  await finish(message);
  await age(message, 61);
  await compactFrames(sql);
  expect((await logOf(sql, message.sessionId)).map(({ body }) => body.type === 'delta' && body.content)).toEqual([
    'keyed',
    false,
  ]);
});

test('a reader below the removed frames continues from a snapshot, one above from its cursor', async () => {
  const message = await labSession(sql);
  await emit(message, turn(message, 10));
  await finish(message);
  await age(message, 61);
  await compactFrames(sql);
  const cut = await compactedSeq(message);
  const first = async (after?: number): Promise<string> => {
    const cursor = after === undefined ? {} : { after };
    for await (const [frame] of followFrames(sql, { sessionId: message.sessionId, ...cursor }))
      return `${frame?.type} ${frame?.seq}`;
    return 'nothing';
  };
  expect(await first()).toBe('snapshot 17');
  expect(await first(0)).toBe('snapshot 17');
  expect(await first(cut - 1)).toBe('snapshot 17');
  expect(await first(cut)).toBe(`usage ${cut + 1}`);
});

test('a log longer than a batch is removed in several, and frames of other types are skipped', async () => {
  const message = await labSession(sql);
  await sql`INSERT INTO frames (session_id, seq, type, task_id, body, key, at)
    SELECT ${message.sessionId}, n, CASE WHEN n BETWEEN 3000 AND 6500 THEN 'warning' ELSE 'delta' END, ${message.taskId},
           jsonb_build_object('message_id', ${message.messageId}::text, 'chat_id', ${message.chatId}::text, 'content', 'x'), NULL, now() - interval '1 hour'
      FROM generate_series(1, 9000) n`;
  await sql`UPDATE sessions SET seq = 9000 WHERE id = ${message.sessionId}`;
  await finish(message);
  await age(message, 61);
  expect(await compactFrames(sql)).toEqual({ sessions: 1, frames: 9000 - 3501 });
  expect(await compactedSeq(message)).toBe(9000);
  expect((await snapshotOf(message)).messages).toMatchObject([{ content: 'x'.repeat(5499) }]);
});

test('one process at a time compacts', async () => {
  const message = await labSession(sql);
  await emit(message, turn(message, 5));
  await finish(message);
  await age(message, 61);
  const other = connect(database.url, { max: 3, applicationName: 'other compaction' });
  const held = await hold(sql, (tx) => tx`SELECT FROM sessions WHERE id = ${message.sessionId} FOR UPDATE`);
  const first = compactFrames(other);
  await blockedBackend(sql, 'other compaction');
  expect(await compactFrames(sql)).toBeUndefined();
  await held.release();
  expect(await first).toEqual({ sessions: 1, frames: 8 });
  await other.end({ timeout: 1 });
});

test('killed in the middle it leaves log and compacted_seq consistent, and the next process continues', async () => {
  const message = await labSession(sql);
  await sql`INSERT INTO frames (session_id, seq, type, task_id, body, at)
    SELECT ${message.sessionId}, n, 'delta', ${message.taskId},
           jsonb_build_object('message_id', ${message.messageId}::text, 'chat_id', ${message.chatId}::text, 'content', n || ' '), now() - interval '1 hour'
      FROM generate_series(1, 12000) n`;
  await sql`UPDATE sessions SET seq = 12000 WHERE id = ${message.sessionId}`;
  await finish(message);
  await age(message, 61);
  const before = (await snapshotOf(message)).messages;
  // Each is thrown out while its statement waits for the session's row: the deletion is made, not committed.
  for (let kill = 0; kill < 3; kill += 1) {
    const victim = connect(database.url, { max: 3, applicationName: 'victim' });
    const held = await hold(sql, (tx) => tx`SELECT FROM sessions WHERE id = ${message.sessionId} FOR UPDATE`);
    const compacting = compactFrames(victim).catch((error: unknown) => error);
    await blockedBackend(sql, 'victim');
    await sql`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'victim'`;
    expect(await compacting).toBeInstanceOf(Error);
    await held.release();
    await victim.end({ timeout: 1 });
    const [row] = await sql<{ below: number; above: number; cut: number }[]>`
      SELECT count(*) FILTER (WHERE f.seq <= s.compacted_seq) AS below, count(*) FILTER (WHERE f.seq > s.compacted_seq) AS above, s.compacted_seq AS cut
        FROM sessions s JOIN frames f ON f.session_id = s.id WHERE s.id = ${message.sessionId} GROUP BY s.compacted_seq`;
    expect(row).toEqual({ below: 0, above: 12001 - (row?.cut ?? 0), cut: row?.cut });
  }
  await until('the lock of the killed', async () => (await compactFrames(sql)) !== undefined);
  expect(await compactedSeq(message)).toBe(12000);
  expect((await snapshotOf(message)).messages).toEqual(before);
});

interface Held {
  position: number;
  content: string;
  snapshots: number;
}

/** What a reader holds of the session's messages, and whether numbers went on without a hole. */
function take(held: Held, page: readonly FollowedFrame[]): void {
  for (const frame of page) {
    if (frame.type === 'snapshot') {
      held.snapshots += 1;
      held.content = frame.messages.map(({ content }) => content).join('|');
    } else {
      if (frame.seq !== held.position + 1) throw new Error(`frame ${frame.seq} after ${held.position}`);
      if (frame.type === 'message_started' && frame.message_id) held.content += held.content === '' ? '' : '|';
      if (frame.type === 'delta') held.content += frame.content;
    }
    held.position = frame.seq;
  }
}

test('readers have the same text while a turn writes and its log is compacted', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.integer({ min: 1, max: 30 }), { minLength: 6, maxLength: 12 }),
      fc.infiniteStream(fc.nat(100)),
      async (turns, pauses) => {
        const session = await labSession(sql);
        await sql`DELETE FROM messages WHERE session_id = ${session.sessionId}`;
        const hub = new FrameHub(sql);
        const stop = new AbortController();
        setMaxListeners(0, stop.signal);
        const readers: { held: Held; done: Promise<void> }[] = [];
        const read = (after?: number): void => {
          const held: Held = { position: after ?? 0, content: '', snapshots: 0 };
          const cursor = after === undefined ? {} : { after };
          const run = async (): Promise<void> => {
            for await (const page of hub.follow({ sessionId: session.sessionId, signal: stop.signal, ...cursor })) {
              take(held, page);
              for (let i = pauses.next().value ?? 0; i > 0; i -= 1)
                await new Promise((resolve) => setImmediate(resolve));
            }
          };
          readers.push({ held, done: run() });
        };
        read(0);
        read();
        const stream = await openStream(sql, new FrameWriter(sql), session);
        let text = '';
        for (const words of turns) {
          const message = await nextMessage(session);
          text += text === '' ? '' : '|';
          for (let i = 0; i < words; i += 1) {
            stream.append(delta(message, `${i} `));
            text += `${i} `;
            if (i % 4 === 3) await stream.flush();
            if (i === 5) read();
          }
          await stream.flush();
          await finish(message);
          await age(message, 61);
          await Promise.all([compactFrames(sql), append(sql, message, [{ type: 'warning', message: 'meanwhile' }])]);
          read();
        }
        for (const { held } of readers) await until('the whole text', () => held.content === text);
        stop.abort();
        for (const { done } of readers) await done;
        await hub.close();
      },
    ),
    { numRuns: 6 },
  );
});
