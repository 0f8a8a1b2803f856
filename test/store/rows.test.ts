import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { queueCollected, storeDiff } from '../../store/collected-diffs.ts';
import { claimHost } from '../../store/hosts.ts';
import { idOf } from '../../store/ids.ts';
import { finishMessage, chatOfStreamingMessage } from '../../store/messages.ts';
import type { Sql } from '../../store/sql.ts';
import type { TaskId } from '../../contract/ids.ts';
import { freshDatabase, type LabDatabase } from '../lab/database.ts';
import { labSession } from '../lab/log.ts';
import { logOf } from '../lab/turn.ts';

let database: LabDatabase;
let sql: Sql;
beforeAll(async () => {
  database = await freshDatabase();
  ({ sql } = database);
});
afterAll(() => database.drop());

test('ids are uuids of version 5, equal to those of other programs for the same namespace and name', () => {
  const taskId = '6ba7b810-9dad-11d1-80b4-00c04fd430c8' as TaskId;
  // python3 -c "import uuid; print(uuid.uuid5(uuid.UUID('6ba7b810-9dad-11d1-80b4-00c04fd430c8'), 'session'))"
  expect(idOf(taskId, 'session')).toBe('b3da58c6-bb19-5460-baf7-16e08ebba911');
  expect(idOf(taskId, 'change')).toBe('39223289-41da-5907-aa0a-05f967de2656');
});

test('of concurrent workers with two host names one host is served and the other is refused', async () => {
  const names = ['alpha', 'beta'];
  const claims = await Promise.allSettled([...names, ...names, ...names].map((name) => claimHost(sql, name)));
  const [host] = await sql<{ name: string }[]>`SELECT name FROM hosts`;
  const refused = claims.flatMap((claim) => (claim.status === 'rejected' ? [claim.reason as Error] : []));
  expect(refused).toHaveLength(3);
  for (const error of refused) {
    expect(error).toMatchObject({ code: 'invalid_input' });
    expect(error.message).toContain(`This database serves host "${host?.name}"`);
    expect(error.message).toContain(`LONGHAUL_HOST_NAME=${host?.name}`);
  }
});

const SAID = { content: '', totalChars: 0, reasoning: '', toolCalls: [], segments: [] };

test('a message is finished once; a later attempt changes nothing', async () => {
  const { messageId: id, chatId } = await labSession(sql);
  expect(await sql.begin((tx) => chatOfStreamingMessage(tx, id))).toBe(chatId);
  const call = {
    tool_call_id: 't',
    title: 'a\0',
    kind: 'edit',
    status: 'completed',
    locations: [],
    content: [],
  } as const;
  const first = { ...SAID, id, content: 'x\0y\ud800', totalChars: 70_000, toolCalls: [call], tokensUsed: 5 };
  expect(await sql.begin((tx) => finishMessage(tx, { ...first, status: 'complete' }))).toBe(true);
  expect(await sql.begin((tx) => finishMessage(tx, { ...SAID, id, status: 'failed' }))).toBe(false);
  expect(await sql.begin((tx) => chatOfStreamingMessage(tx, id))).toBeUndefined();
  const [row] = await sql`SELECT * FROM messages WHERE id = ${id}`;
  expect(row).toMatchObject({
    content: 'x\ufffdy\ufffd',
    truncated: true,
    total_chars: 70_000,
    tokens_used: 5,
    status: 'complete',
    reasoning: null,
    tool_calls: [{ ...call, title: 'a\ufffd' }],
    finished_at: expect.any(Date) as Date,
  });
});

const FOUND = {
  commit: 'c1',
  diff: '+text with \0',
  patch: Buffer.from([0, 255, 10, 128]),
  files: [{ path: 'a' }, { path: 'b' }],
  additions: 3,
  deletions: 1,
  ignored: ['dist/'],
};

test('a collected diff becomes one change with the bytes of its patch, however often the steps run', async () => {
  const { taskId, sessionId } = await labSession(sql);
  await sql`
    WITH p AS (INSERT INTO projects (name, path) VALUES ('p', '/srv/p') RETURNING id)
    UPDATE tasks SET project_id = p.id FROM p WHERE tasks.id = ${taskId}`;
  const queue = (partial = true) => sql.begin((tx) => queueCollected(tx, { taskId, partial }));
  expect(await queue()).toEqual({ kind: 'no_diff' });
  await storeDiff(sql, taskId, 'base', { ...FOUND, commit: 'c0', additions: 100 });
  await storeDiff(sql, taskId, 'base', FOUND);
  const changeId = idOf(taskId, 'change');
  expect(await queue()).toEqual({ kind: 'queued', changeId });
  await storeDiff(sql, taskId, 'base', { ...FOUND, additions: 7 }); // a late repeat of the step before
  expect(await queue(false)).toEqual({ kind: 'queued', changeId });
  const rows = await sql`SELECT * FROM pending_changes WHERE task_id = ${taskId}`;
  expect(rows).toMatchObject([
    {
      file_path: '/srv/p',
      operation: 'edit',
      state: 'pending',
      diff: '+text with \ufffd',
      patch: FOUND.patch,
      base_commit: 'base',
      result_commit: 'c1',
      files: FOUND.files,
      ignored_files: ['dist/'],
      additions: 3,
      partial: true,
    },
  ]);
  const log = await logOf(sql, sessionId);
  const counts = { files: 2, additions: 3, deletions: 1, partial: true };
  expect(log.map(({ body }) => body)).toMatchObject([{ type: 'change_queued', change_id: changeId, ...counts }]);
  expect(await sql`SELECT FROM collected_diffs WHERE task_id = ${taskId}`).toHaveLength(0);
});

test('deleting a task deletes its attempts and its collected diff', async () => {
  const { taskId } = await labSession(sql);
  await storeDiff(sql, taskId, 'base', FOUND);
  await sql`DELETE FROM tasks WHERE id = ${taskId}`;
  expect(await sql`SELECT FROM collected_diffs WHERE task_id = ${taskId}`).toHaveLength(0);
  await expect(storeDiff(sql, randomUUID() as TaskId, 'base', FOUND)).rejects.toMatchObject({ code: '23503' });
});
