/** Answers have a size that can be sent, however much there is; and all of it can be read. */
import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { labSession } from '../lab/log.ts';
import { type LabServer, startServer } from './lab.ts';

let server: LabServer;
beforeAll(async () => {
  server = await startServer();
});
afterAll(() => server.close());

interface Timeline {
  readonly messages: readonly { readonly content: string }[];
  readonly messages_before: string | null;
  readonly tasks: readonly unknown[];
  readonly changes: readonly unknown[];
}

async function timeline(id: string, query = ''): Promise<Timeline> {
  const answer = await server.get(`/api/sessions/${id}${query}`);
  expect([answer.status, answer.body['detail']]).toEqual([200, undefined]);
  return answer.body as unknown as Timeline;
}

/** `count` messages, one a second, beside the one that the session begins with. */
async function sessionWith(count: number, content = (n: number): string => `m${n}`): Promise<string> {
  const { sessionId, chatId, messageId } = await labSession(server.sql);
  await server.sql`DELETE FROM messages WHERE id = ${messageId}`;
  const rows = Array.from({ length: count }, (_, n) => ({
    session_id: sessionId,
    chat_id: chatId,
    role: 'user',
    content: content(n),
    created_at: new Date(Date.UTC(2020, 0, 1, 0, 0, n)),
  }));
  if (count > 0) await server.sql`INSERT INTO messages ${server.sql(rows)}`;
  return sessionId;
}

/** From the newest page back to the oldest, put together in their order. */
async function allMessages(id: string, limit: number): Promise<string[]> {
  const all: string[] = [];
  let before = '';
  for (let pages = 0; pages < 50; pages += 1) {
    const page = await timeline(id, `?limit=${limit}${before}`);
    expect(page.messages.length).toBeLessThanOrEqual(limit);
    all.unshift(...page.messages.map(({ content }) => content));
    if (page.messages_before === null) return all;
    before = `&before=${page.messages_before}`;
  }
  throw new Error('the pages have no end');
}

const named = (from: number, to: number): string[] => Array.from({ length: to - from }, (_, n) => `m${from + n}`);
const contents = ({ messages }: Timeline): string[] => messages.map(({ content }) => content);

describe('a session', () => {
  test('has its newest messages, and states whether older ones exist', async () => {
    const id = await sessionWith(130);
    const newest = await timeline(id);
    expect(contents(newest)).toEqual(named(80, 130));
    const older = await timeline(id, `?limit=100&before=${newest.messages_before}`);
    expect(contents(older)).toEqual(named(0, 80));
    expect(older.messages_before).toBeNull();
  });

  test('has each message once over all pages, also with equal times, without times, and with messages added meanwhile', async () => {
    const id = await sessionWith(9);
    await server.sql`UPDATE messages SET created_at = '2020-01-01 00:00:04+00' WHERE session_id = ${id} AND content IN ('m3', 'm4', 'm5')`;
    await server.sql`UPDATE messages SET created_at = NULL WHERE session_id = ${id} AND content = 'm0'`;
    const { messages_before } = await timeline(id, '?limit=2');
    await server.sql`INSERT INTO messages (session_id, role, content) VALUES (${id}, 'user', 'late')`;
    expect(contents(await timeline(id, `?limit=2&before=${messages_before}`))).toHaveLength(2);
    const all = await allMessages(id, 2);
    expect([...all].sort()).toEqual(['late', ...named(0, 9)]);
    expect(all.slice(-4)).toEqual(['m6', 'm7', 'm8', 'late']);
  });

  test('has fewer messages on a page if they are large, at least one, and omits none', async () => {
    const id = await sessionWith(8, (n) => `${n}${'x'.repeat(n === 0 ? 3_000_000 : 900_000)}`);
    const page = await server.get(`/api/sessions/${id}`);
    expect(page.text.length).toBeLessThan(2_500_000);
    const all = await allMessages(id, 100);
    expect(all.map((text) => text[0]).join('')).toBe('01234567');
  });

  test('has its newest tasks and changes, and states whether there are more', async () => {
    const id = await sessionWith(0);
    await server.sql`
      INSERT INTO tasks (project_id, input, session_id, state, output_summary, created_at)
      SELECT gen_random_uuid(), 'x', ${id}, 'completed', 's' || n, now() + n * interval '1 second' FROM generate_series(1, 150) n`;
    await server.sql`
      INSERT INTO pending_changes (session_id, additions, created_at)
      SELECT ${id}, n, now() + n * interval '1 second' FROM generate_series(1, 150) n`;
    const { tasks, changes, ...rest } = await timeline(id);
    expect([tasks.length, changes.length]).toEqual([100, 100]);
    expect([tasks.at(-1), changes.at(-1)]).toMatchObject([{ output_summary: 's150' }, { additions: 150 }]);
    expect([tasks[0], changes[0]]).toMatchObject([{ output_summary: 's51' }, { additions: 51 }]);
    expect(rest).toMatchObject({ tasks_truncated: true, changes_truncated: true });
    expect(await timeline(await sessionWith(1))).toMatchObject({ tasks_truncated: false, changes_truncated: false });
  });

  test.each(['before=x', 'limit=0', 'limit=101', 'cursor=x'])('%s is refused', async (query) => {
    const answer = await server.get(`/api/sessions/${await sessionWith(1)}?${query}`);
    const detail = expect.stringMatching(query.split('=')[0] ?? '') as string;
    expect(answer).toMatchObject({ status: 400, body: { error_code: 'invalid_input', detail } });
  });
});

test('a change has the first of its files, how many there are, and all on request', async () => {
  const files = JSON.stringify(Array.from({ length: 2_500 }, (_, n) => ({ path: `f${n}`, status: 'added' })));
  const [row] = await server.sql<{ id: string }[]>`
    INSERT INTO pending_changes (task_id, files) VALUES (${randomUUID()}, ${files}::text::jsonb) RETURNING id`;
  const first = await server.get(`/api/changes/${row?.id}`);
  expect(first.body).toMatchObject({ files_truncated: true, files_total: 2_500 });
  expect((first.body['files'] as unknown[]).length).toBe(1_000);
  const all = await server.get(`/api/changes/${row?.id}?files=all`);
  expect(all.body).toMatchObject({ files_truncated: false, files_total: 2_500 });
  expect((all.body['files'] as unknown[]).length).toBe(2_500);
});
