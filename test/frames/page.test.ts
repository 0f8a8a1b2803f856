/** A page of a log as a WebSocket sends it: the stored text, with the envelope of each frame. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { readPages } from '../../frames/page.ts';
import { freshDatabase, type LabDatabase } from '../lab/database.ts';
import { append, labSession } from '../lab/log.ts';

let database: LabDatabase;
beforeAll(async () => {
  database = await freshDatabase();
});
afterAll(() => database.drop());

async function sent(body: unknown): Promise<{ text: string; frames: Record<string, unknown>[] }> {
  const { sql } = database;
  const at = await labSession(sql);
  await append(sql, at, [{ type: 'warning', message: 'first' }]);
  await sql`UPDATE frames SET body = ${JSON.stringify(body)}::text::jsonb, task_id = NULL, at = '2026-01-02T03:04:05Z'
             WHERE session_id = ${at.sessionId}`;
  const [read] = await readPages(sql, [{ sessionId: at.sessionId, after: 0 }]);
  if (read?.kind !== 'read' || !read.page) throw new TypeError('expected a page');
  const text = read.page.json().toString();
  const frames = JSON.parse(text) as Record<string, unknown>[];
  expect(frames).toMatchObject([{ session_id: at.sessionId, seq: 1, type: 'warning', at: '2026-01-02T03:04:05.000Z' }]);
  return { text, frames };
}

test("a body with fields of the envelope's names: the envelope's are sent, once", async () => {
  const { text, frames } = await sent({ seq: 99, type: 'x', session_id: 'y', task_id: 'z', at: 0, message: 'm' });
  expect(frames).toMatchObject([{ message: 'm' }]);
  expect(frames[0]).not.toHaveProperty('task_id');
  expect(text.match(/"(seq|type|session_id|task_id|at)":/g)).toHaveLength(4);
});

test('only such fields: the frame has its envelope', async () => {
  expect((await sent({ seq: 99 })).frames[0]).not.toHaveProperty('message');
});

test.each([
  ['a text that is such a name', 'seq'],
  ['a list of such names', ['seq', 'type']],
  ['a number', 5],
  ['null', null],
])('a body that is %s is sent as an empty one', async (_, body) => {
  expect(Object.keys((await sent(body)).frames[0] ?? {})).toEqual(['session_id', 'seq', 'type', 'at']);
});

test("numbers pass as Postgres' text", async () => {
  const { sql } = database;
  const at = await labSession(sql);
  await append(sql, at, [{ type: 'warning', message: 'first' }]);
  await sql`UPDATE frames SET body = '{"seq": 1, "n": 12345678901234567890.10}' WHERE session_id = ${at.sessionId}`;
  const [read] = await readPages(sql, [{ sessionId: at.sessionId, after: 0 }]);
  expect(read?.kind === 'read' && read.page?.json().toString()).toContain('"n": 12345678901234567890.10}');
});
