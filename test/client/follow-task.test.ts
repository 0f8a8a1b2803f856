import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type FollowedFrame, followTask } from '../../client/follow-task.ts';
import { FrameHub } from '../../frames/follow.ts';
import type { FrameBody } from '../../contract/frame.ts';
import type { Sql } from '../../store/sql.ts';
import type { TaskId } from '../../contract/ids.ts';
import { freshDatabase, type LabDatabase } from '../lab/database.ts';
import { append, delta, labSession } from '../lab/log.ts';

let database: LabDatabase;
let sql: Sql;
let frames: FrameHub;
beforeAll(async () => {
  database = await freshDatabase();
  ({ sql } = database);
  frames = new FrameHub(sql);
});
afterAll(async () => {
  await frames.close();
  await database.drop();
});

async function collect(taskId: TaskId): Promise<FollowedFrame[]> {
  const all: FollowedFrame[] = [];
  for await (const page of followTask({ sql, frames }, { taskId })) all.push(...page);
  return all;
}

const completed: FrameBody = { type: 'task_state', state: 'completed', phase: 'completed' };

test('a follower gets the frames of its task only, from the first to the end', async () => {
  const mine = await labSession(sql);
  const other = { ...mine, taskId: randomUUID() as TaskId };
  await append(sql, other, [delta(other, 'before')]);
  await append(sql, mine, [delta(mine, 'one')]);
  const reading = collect(mine.taskId);
  await append(sql, other, [delta(other, 'between')]);
  await append(sql, mine, [delta(mine, 'two'), completed]);
  await append(sql, other, [delta(other, 'after')]);
  expect((await reading).map((frame) => frame.seq)).toEqual([2, 4, 5]);
});

test('a follower that connects early waits until the task has a session', async () => {
  const taskId = randomUUID() as TaskId;
  await sql`INSERT INTO tasks (id, project_id, input) VALUES (${taskId}, ${randomUUID()}, 'x')`;
  const reading = collect(taskId);
  const message = { ...(await labSession(sql)), taskId };
  await sql`UPDATE tasks SET session_id = ${message.sessionId} WHERE id = ${taskId}`;
  await append(sql, message, [delta(message, 'x'), completed]);
  expect((await reading).map((frame) => frame.type)).toEqual(['delta', 'task_state']);
});

test('a task that ended without a log ends its followers', async () => {
  const taskId = randomUUID() as TaskId;
  await sql`INSERT INTO tasks (id, project_id, input) VALUES (${taskId}, ${randomUUID()}, 'x')`;
  const reading = collect(taskId);
  await sql`UPDATE tasks SET state = 'cancelled', ended_at = now() WHERE id = ${taskId}`;
  expect(await reading).toEqual([]);
});

test('a row that ends without a frame, or is deleted, ends its followers, too', async () => {
  const ended = await labSession(sql);
  const deleted = await labSession(sql);
  for (const message of [ended, deleted]) await append(sql, message, [delta(message, 'x')]);
  const pages = [ended, deleted].map(({ taskId }) => followTask({ sql, frames }, { taskId }));
  for (const page of pages) expect(await page.next()).toMatchObject({ value: [{ type: 'delta' }] });
  await sql`UPDATE tasks SET state = 'failed', ended_at = now() WHERE id = ${ended.taskId}`;
  await sql`DELETE FROM tasks WHERE id = ${deleted.taskId}`;
  for (const page of pages) expect(await page.next()).toEqual({ done: true, value: undefined });
  await expect(collect(deleted.taskId)).rejects.toMatchObject({ code: 'task_not_found' });
});
