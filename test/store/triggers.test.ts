import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { TASKS_CHANNEL } from '../../store/channels.ts';
import type { Sql } from '../../store/sql.ts';
import { FINAL_STATES, TASK_STATES, type TaskState } from '../../contract/task.ts';
import { freshDatabase, type LabDatabase } from '../lab/database.ts';
import { until } from '../lab/until.ts';

let database: LabDatabase;
let sql: Sql;
beforeAll(async () => {
  database = await freshDatabase();
  ({ sql } = database);
});
afterAll(() => database.drop());

async function insertTask(state: TaskState): Promise<string> {
  const id = randomUUID();
  await sql`INSERT INTO tasks (id, project_id, input, state) VALUES (${id}, ${randomUUID()}, 'x', ${state})`;
  return id;
}

const changes = FINAL_STATES.flatMap((from) => [...TASK_STATES, null].map((to) => ({ from, to })));

test.each(changes.filter(({ from, to }) => from !== to))(
  'a task that is $from does not become $to',
  async ({ from, to }) => {
    const id = await insertTask(from);
    await expect(sql`UPDATE tasks SET state = ${to} WHERE id = ${id}`).rejects.toMatchObject({
      code: '23514',
      constraint_name: 'tasks_final_state',
      message: expect.stringContaining(`task ${id} is ${from}: a final state does not change`) as string,
    });
    const upsert = sql`
    INSERT INTO tasks (id, input, state) VALUES (${id}, 'x', 'pending') ON CONFLICT (id) DO UPDATE SET state = ${to}`;
    await expect(upsert).rejects.toMatchObject({ constraint_name: 'tasks_final_state' });
    const [row] = await sql`SELECT state FROM tasks WHERE id = ${id}`;
    expect(row).toEqual({ state: from });
  },
);

test.each(FINAL_STATES)('a task that is %s can be updated with the same state', async (state) => {
  const id = await insertTask(state);
  const rows = await sql`
    UPDATE tasks SET state = ${state}, output_summary = 'said later' WHERE id = ${id} RETURNING output_summary`;
  expect(rows).toEqual([{ output_summary: 'said later' }]);
});

test('a pending task can get any state, a running one any state but pending', async () => {
  for (const from of ['pending', 'running'] as const) {
    for (const to of TASK_STATES.filter((state) => from === 'pending' || state !== 'pending')) {
      const id = await insertTask(from);
      await sql`UPDATE tasks SET state = ${to} WHERE id = ${id}`;
    }
  }
  const id = await insertTask('running');
  await expect(sql`UPDATE tasks SET state = 'pending' WHERE id = ${id}`).rejects.toThrow('does not become pending');
});

test('a final state gets its time, whichever program writes it', async () => {
  const id = await insertTask('running');
  await sql`UPDATE tasks SET state = 'failed' WHERE id = ${id}`;
  const inserted = await insertTask('completed');
  expect(await sql`SELECT FROM tasks WHERE id IN (${id}, ${inserted}) AND ended_at IS NOT NULL`).toHaveLength(2);
});

test('a listener is notified of new tasks, cancel requests and changes of state, and of nothing else', async () => {
  const heard: string[] = [];
  const listening = await sql.listen(TASKS_CHANNEL, (payload) => heard.push(payload));
  const end = randomUUID();
  /** Names heard while `work` ran: notifications come in the order of the commits. */
  const during = async (work: () => Promise<unknown>): Promise<string[]> => {
    heard.length = 0;
    await work();
    await sql`SELECT pg_notify(${TASKS_CHANNEL}, ${end})`;
    await until('the last notification', () => heard.includes(end));
    return heard.filter((payload) => payload !== end);
  };
  let id = '';
  expect(await during(async () => (id = await insertTask('pending')))).toEqual([id]);
  expect(await during(() => insertTask('running'))).toEqual([]);
  const update = (set: object) => during(() => sql`UPDATE tasks SET ${sql({ ...set })} WHERE id = ${id}`);
  expect(await update({ output_summary: 'x', phase: 'preparing', run_id: 'r', claimed_at: new Date() })).toEqual([]);
  expect(await update({ state: 'pending' })).toEqual([]); // what it was
  expect(await update({ state: 'running' })).toEqual([id]);
  expect(await update({ cancel_requested_at: new Date(), cancel_reason: 'no' })).toEqual([id]);
  expect(await update({ cancel_reason: 'never mind' })).toEqual([]);
  expect(await update({ state: 'cancelled', ended_at: new Date() })).toEqual([id]);
  expect(await update({ kept_worktree: '/x' })).toEqual([]);
  await listening.unlisten();
});
