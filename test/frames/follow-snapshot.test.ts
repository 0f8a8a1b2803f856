import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { emptyMessage, foldFrame } from '../../frames/fold.ts';
import { followFrames, type FollowedFrame } from '../../frames/follow.ts';
import type { FrameBody } from '../../contract/frame.ts';
import { takeSnapshot } from '../../frames/snapshot.ts';
import type { Sql } from '../../store/sql.ts';
import { freshDatabase, type LabDatabase } from '../lab/database.ts';
import { append, delta, labSession, type LabMessage } from '../lab/log.ts';

let database: LabDatabase;
let sql: Sql;
beforeAll(async () => {
  database = await freshDatabase();
  ({ sql } = database);
});
afterAll(() => database.drop());

function toolCall(message: LabMessage, status: 'in_progress' | 'completed'): FrameBody {
  const call = { tool_call_id: 't1', title: 'Edit a.txt', kind: 'edit', status, locations: [], content: [] };
  return { type: 'tool_call', message_id: message.messageId, chat_id: message.chatId, call };
}

/** What a reader holds of the message: the snapshot's part of it and every later frame. */
async function contentOf(pages: AsyncIterable<FollowedFrame[]>, end: string): Promise<string> {
  const view = emptyMessage();
  for await (const page of pages) {
    for (const frame of page) {
      if (frame.type === 'snapshot') {
        const { content = '', total_chars } = frame.messages[0] ?? {};
        Object.assign(view, { content, totalChars: total_chars ?? content.length });
      } else foldFrame(view, frame);
    }
    if (view.content.endsWith(end)) break;
  }
  return view.content;
}

test('readers that connect while the message streams have the same text as the log', async () => {
  const message = await labSession(sql);
  const words = Array.from({ length: 150 }, (_, i) => `${i} `);
  const readers: Promise<string>[] = [];
  for (const word of words) {
    if (Number(word) % 6 === 0) {
      readers.push(contentOf(followFrames(sql, { sessionId: message.sessionId }), 'end'));
    }
    await append(sql, message, [delta(message, word)]);
  }
  await append(sql, message, [delta(message, 'end')]);
  for (const content of await Promise.all(readers)) expect(content).toBe(`${words.join('')}end`);
});

test("a user's delta replaces: applied twice, and after a snapshot that has it, the text stands once", async () => {
  const message = await labSession(sql);
  const typed = (content: string): FrameBody => ({ ...delta(message, content), role: 'user' }) as FrameBody;
  await append(sql, message, [typed('Do it'), typed('Do it')]);
  const reader = contentOf(followFrames(sql, { sessionId: message.sessionId }), 'quickly');
  const fromTheBeginning = contentOf(followFrames(sql, { sessionId: message.sessionId, after: 0 }), 'quickly');
  expect((await takeSnapshot(sql, message.sessionId))?.messages).toMatchObject([{ content: 'Do it', segments: [] }]);
  await append(sql, message, [typed('Do it'), typed('Do it quickly')]);
  expect([await reader, await fromTheBeginning]).toEqual(['Do it quickly', 'Do it quickly']);
});

test('a snapshot contains messages, tasks, changes, prompts, commands and usage as of its number', async () => {
  const message = await labSession(sql);
  const { sessionId, chatId, messageId, taskId } = message;
  const of = { message_id: messageId, chat_id: chatId };
  await sql`INSERT INTO messages (id, session_id, chat_id, role, content, status, created_at)
            VALUES (${randomUUID()}, ${sessionId}, ${chatId}, 'user', 'please', 'complete', now() - interval '1 minute')`;
  await append(sql, message, [
    { type: 'message_started', ...of, role: 'assistant' },
    { type: 'agent_commands', commands: [{ name: 'old', description: '' }] },
    delta(message, 'void'),
    { type: 'message_reset', ...of, reason: 'again' },
    delta(message, 'Hello '),
    { type: 'reasoning_delta', ...of, content: 'hm' },
    toolCall(message, 'in_progress'),
    toolCall(message, 'completed'),
    { type: 'plan', ...of, entries: [{ content: 'one', priority: 'high', status: 'pending' }] },
    { type: 'usage', usage: { total_tokens: 5 } },
    { type: 'usage', usage: { total_tokens: 7 } },
    { type: 'agent_commands', commands: [{ name: 'new', description: 'd' }] },
    delta(message, 'world'),
  ]);
  await sql`INSERT INTO pending_changes (session_id, task_id, file_path, operation, diff, files, additions, deletions)
            VALUES (${sessionId}, ${taskId}, '/p', 'edit', 'd', '[{"path":"a"},{"path":"b"}]', 3, 1)`;
  await sql`INSERT INTO pending_changes (session_id, task_id, state) VALUES (${sessionId}, ${taskId}, 'applied')`;
  await sql`INSERT INTO permissions (id, task_id, session_id, options) VALUES (${randomUUID()}, ${taskId}, ${sessionId}, '[]')`;
  const snapshot = await takeSnapshot(sql, sessionId);
  expect(snapshot).toMatchObject({
    type: 'snapshot',
    seq: 13,
    session: { id: sessionId, name: 'lab', status: 'open' },
    messages: [
      { role: 'user', content: 'please', status: 'complete' },
      {
        role: 'assistant',
        status: 'streaming',
        content: 'Hello world',
        reasoning: 'hm',
        tool_calls: [{ tool_call_id: 't1', status: 'completed' }],
        plan: [{ content: 'one' }],
      },
    ],
    tasks: [{ task_id: taskId, state: 'running' }],
    changes: [{ task_id: taskId, state: 'pending', files: 2, additions: 3, deletions: 1 }],
    permissions: [{ task_id: taskId }],
    commands: [{ name: 'new' }],
    usage: { total_tokens: 7 },
  });
});

test('a message that completes while snapshots are taken is never incomplete in one', async () => {
  const message = await labSession(sql);
  const text = 'x'.repeat(400);
  for (const letter of text) await append(sql, message, [delta(message, letter)]);
  const complete = sql.begin(async (tx) => {
    await tx`UPDATE messages SET status = 'complete', content = ${text} WHERE id = ${message.messageId}`;
    await tx`SELECT pg_sleep(0.05)`; // snapshots are taken before the commit
  });
  const seen: string[] = [];
  const done = new AbortController();
  const watch = (async () => {
    while (!done.signal.aborted) {
      const snapshot = await takeSnapshot(sql, message.sessionId);
      seen.push(`${snapshot?.messages[0]?.status} ${snapshot?.messages[0]?.content.length}`);
    }
    const last = await takeSnapshot(sql, message.sessionId);
    seen.push(`${last?.messages[0]?.status} ${last?.messages[0]?.content.length}`);
  })();
  await complete;
  done.abort();
  await watch;
  expect(new Set(seen)).toEqual(new Set(['streaming 400', 'complete 400']));
});

test('a snapshot of a long stream contains all of it', async () => {
  const message = await labSession(sql);
  for (let page = 0; page < 9; page++) {
    await append(
      sql,
      message,
      Array.from({ length: 500 }, () => delta(message, 'ab')),
    );
  }
  const snapshot = await takeSnapshot(sql, message.sessionId);
  expect(snapshot?.seq).toBe(4500);
  expect(snapshot?.messages[0]?.content).toBe('ab'.repeat(4500));
});
