/** The queue of a session in the rows: what moves, what loses against a claim, and the frame of each change. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { SessionId, TaskId } from '../../contract/ids.ts';
import { claimTasks } from '../../store/queue.ts';
import {
  editQueued,
  interruptSession,
  moveQueued,
  queueState,
  removeQueued,
  setQueue,
} from '../../store/session-queue.ts';
import type { Sql, Tx } from '../../store/sql.ts';
import { end, failUnstarted, insertTask } from '../../store/tasks.ts';
import { freshDatabase, type LabDatabase } from '../lab/database.ts';
import { logOf } from '../lab/turn.ts';

let database: LabDatabase;
let sql: Sql;
let sessionId: SessionId;
let projectId: string;
beforeAll(async () => {
  database = await freshDatabase();
  ({ sql } = database);
});
beforeEach(async () => {
  await sql`TRUNCATE projects, sessions, tasks, messages, frames CASCADE`;
  const [project] = await sql<{ id: string }[]>`INSERT INTO projects (name, path) VALUES ('p', '/p') RETURNING id`;
  const [session] = await sql<{ id: SessionId }[]>`INSERT INTO sessions (name) VALUES ('s') RETURNING id`;
  projectId = project?.id ?? '';
  sessionId = session?.id as SessionId;
});
afterAll(() => database.drop());

/** With a user message, as the client and other programs write one. */
async function insert(input: string, session: SessionId | null = sessionId): Promise<TaskId> {
  const [task] = await sql<{ id: TaskId }[]>`
    INSERT INTO tasks ${sql({ project_id: projectId, input, session_id: session })} RETURNING id`;
  const id = task?.id as TaskId;
  if (session) {
    await sql`INSERT INTO messages (session_id, chat_id, task_id, role, content, status)
              VALUES (${session}, gen_random_uuid(), ${id}, 'user', ${input}, 'complete')`;
  }
  return id;
}

const inputs = async (): Promise<string[]> =>
  (await queueState(sql, sessionId, 100))?.tasks.map(({ input }) => input) ?? [];
const move = (taskId: TaskId, place: number) => sql.begin((tx) => moveQueued(tx, { taskId, sessionId, place }));
const edit = (taskId: TaskId, input: string) => sql.begin((tx) => editQueued(tx, { taskId, input }));
const set = (change: { held?: boolean; onFailure?: 'hold' | 'continue' }) =>
  sql.begin((tx) => setQueue(tx, { sessionId, ...change }));
const frames = async () => (await logOf(sql, sessionId)).map(({ body }) => body);
const finish = (taskId: TaskId, state: 'completed' | 'failed' | 'cancelled') =>
  sql.begin((tx) => end(tx, { taskId, state, summary: state, before: [] }));
const claimed = async (): Promise<(string | null)[]> => (await claimTasks(sql, 10)).map(({ input }) => input);

describe('a waiting task', () => {
  test('is moved to a place; a task that is submitted later is the last; each move has a frame', async () => {
    const [a, b, c] = [await insert('a'), await insert('b'), await insert('c')];
    expect(await move(c, 1)).toEqual({ kind: 'moved', sessionId });
    expect(await inputs()).toEqual(['c', 'a', 'b']);
    const d = await insert('d');
    expect(await inputs()).toEqual(['c', 'a', 'b', 'd']);
    await move(a, 99);
    expect(await inputs()).toEqual(['c', 'b', 'd', 'a']);
    const shown = { waiting: 4, held_since: null, held_after: null, on_failure: 'continue' };
    expect(await frames()).toEqual([
      { type: 'queue', ...shown, waiting: 3, tasks: [c, a, b] },
      { type: 'queue', ...shown, tasks: [c, b, d, a] },
    ]);
  });

  test('keeps its place with any position that a program has written', async () => {
    await insert('first');
    const last = await insert('last');
    await sql`UPDATE tasks SET queue_position = -9223372036854775808 WHERE input = 'first'`;
    await sql`UPDATE tasks SET queue_position = 9223372036854775807 WHERE input = 'last'`;
    await insert('middle');
    expect(await inputs()).toEqual(['first', 'middle', 'last']);
    await move(last, 2);
    expect(await inputs()).toEqual(['first', 'last', 'middle']);
    expect(await claimed()).toEqual(['first']);
  });

  test('is edited, with its user message', async () => {
    const task = await insert('old');
    expect(await edit(task, 'new')).toEqual({ kind: 'moved', sessionId });
    expect(await inputs()).toEqual(['new']);
    expect(await sql`SELECT content FROM messages WHERE task_id = ${task}`).toEqual([{ content: 'new' }]);
    expect(await frames()).toMatchObject([{ type: 'message', role: 'user', content: 'new', status: 'complete' }]);
  });

  test('without a session is edited and removed, without a frame', async () => {
    const task = await insert('old', null);
    expect(await edit(task, 'new')).toEqual({ kind: 'moved', sessionId: null });
    expect(await sql.begin((tx) => removeQueued(tx, task))).toEqual({ kind: 'moved', sessionId: null });
    expect(await sql`SELECT state, input FROM tasks`).toEqual([{ state: 'cancelled', input: 'new' }]);
  });

  test('is removed: it ends as cancelled, and the others continue, also if failures hold the queue', async () => {
    await set({ onFailure: 'hold' });
    const [first, second] = [await insert('first'), await insert('second')];
    expect(await sql.begin((tx) => removeQueued(tx, first))).toEqual({ kind: 'moved', sessionId });
    expect((await frames()).slice(1)).toMatchObject([
      { type: 'message', status: 'cancelled' },
      { type: 'task_state', state: 'cancelled', phase: 'cancelled' },
      { type: 'queue', tasks: [second], held_since: null },
    ]);
    expect(await claimed()).toEqual(['second']);
  });
});

const CHANGES: readonly (readonly [string, (tx: Tx, taskId: TaskId) => Promise<unknown>])[] = [
  ['edit', (tx, taskId) => editQueued(tx, { taskId, input: 'changed' })],
  ['move', (tx, taskId) => moveQueued(tx, { taskId, sessionId, place: 2 })],
  ['remove', removeQueued],
];

describe.each(CHANGES)('%s', (_, change) => {
  const row = (id: TaskId) => sql`SELECT * FROM tasks WHERE id = ${id}`;

  test.each([
    ['claimed', 'pending', { claimed_at: new Date() }],
    ['running', 'running', { state: 'running', claimed_at: new Date(), run_id: 'r' }],
    ['to be cancelled', 'pending', { cancel_requested_at: new Date() }],
    ['cancelled', 'cancelled', { state: 'cancelled' }],
  ])('is superseded by a task that is %s, and changes nothing', async (_name, state, columns) => {
    const task = await insert('old');
    await insert('next');
    await sql`UPDATE tasks SET ${sql(columns)} WHERE id = ${task}`;
    const before = await row(task);
    expect(await sql.begin((tx) => change(tx, task))).toEqual({ kind: 'superseded', state });
    expect(await row(task)).toEqual(before);
    expect(await frames()).toEqual([]);
  });

  test('waits for a claim that is not committed yet, and is superseded by it', async () => {
    const task = await insert('old');
    const changing = await sql.begin(async (tx) => {
      await tx`UPDATE tasks SET claimed_at = now() WHERE id = ${task}`;
      const started = sql.begin((other) => change(other, task));
      await untilBlocked();
      return { started };
    });
    expect(await changing.started).toEqual({ kind: 'superseded', state: 'pending' });
    expect(await sql`SELECT input, state FROM tasks`).toEqual([{ input: 'old', state: 'pending' }]);
  });
});

const untilBlocked = () =>
  expect
    .poll(() => sql`SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()`)
    .toHaveLength(1);

describe('a claim that has read the rows claims no task, if before its lock commits', () => {
  /** Claims in a transaction in which the comparison of texts waits while another one holds the gate. */
  async function claimDuring(change: () => Promise<unknown>): Promise<(string | null)[]> {
    const claim = await sql.begin(async (holder) => {
      await holder`SELECT pg_advisory_xact_lock(7)`;
      const claiming = sql.begin(async (tx) => {
        await tx`SET LOCAL search_path = gate, public, pg_catalog`;
        return (await claimTasks(tx, 10)).map(({ input }) => input);
      });
      await expect
        .poll(() => sql`SELECT FROM pg_stat_activity WHERE wait_event = 'advisory' AND datname = current_database()`)
        .toHaveLength(1);
      await change();
      return { claiming };
    });
    return claim.claiming;
  }

  beforeEach(async () => {
    await sql`CREATE SCHEMA IF NOT EXISTS gate`;
    await sql`CREATE OR REPLACE FUNCTION gate.equal(a text, b text) RETURNS boolean LANGUAGE plpgsql VOLATILE AS $$
      BEGIN PERFORM pg_advisory_xact_lock_shared(7); RETURN a OPERATOR(pg_catalog.=) b; END $$`;
    await sql`DO $$ BEGIN
      CREATE OPERATOR gate.= (LEFTARG = text, RIGHTARG = text, FUNCTION = gate.equal);
      EXCEPTION WHEN duplicate_function THEN NULL; END $$`;
  });

  test('nothing: then it claims the first one', async () => {
    await insert('first');
    await insert('second');
    expect(await claimDuring(() => Promise.resolve())).toEqual(['first']);
  });

  test('a move', async () => {
    await insert('first');
    const second = await insert('second');
    expect(await claimDuring(() => move(second, 1))).toEqual([]);
    expect(await claimed()).toEqual(['second']);
  });

  test('a hold', async () => {
    await insert('first');
    expect(await claimDuring(() => set({ held: true }))).toEqual([]);
  });

  test('an interrupt', async () => {
    await insert('first');
    const by = '00000000-0000-4000-8000-00000000000a' as TaskId;
    expect(await claimDuring(() => sql.begin((tx) => interruptSession(tx, { sessionId, by })))).toEqual([]);
  });
});

describe('a held queue', () => {
  test('starts no task until it is released; the running one continues', async () => {
    await insert('first');
    expect(await set({ held: true })).toBe(true);
    expect(await claimed()).toEqual([]);
    expect((await queueState(sql, sessionId, 1))?.held_since).toMatch(/^2\d{3}-.*Z$/);
    expect(await set({ held: false })).toBe(true);
    expect(await claimed()).toEqual(['first']);
    const held = (await frames()).map((body) => body.type === 'queue' && body.held_since !== null);
    expect(held).toEqual([true, false]);
  });

  test('concerns its own session only', async () => {
    await set({ held: true });
    await insert('of none', null);
    expect(await claimed()).toEqual(['of none']);
  });

  test('is refused for a session that does not exist', async () => {
    const id = '00000000-0000-4000-8000-000000000000' as SessionId;
    expect(await sql.begin((tx) => setQueue(tx, { sessionId: id, held: true }))).toBe(false);
  });
});

describe('after a failure', () => {
  const nextAfter = async (state: 'completed' | 'failed' | 'cancelled'): Promise<(string | null)[]> => {
    const first = await insert('first');
    await insert('second');
    expect(await claimed()).toEqual(['first']);
    await finish(first, state);
    return claimed();
  };

  test('the queue continues, unless the session is set to hold it', async () => {
    expect(await nextAfter('failed')).toEqual(['second']);
  });

  test.each(['failed', 'cancelled'] as const)('%s: a session that is set so holds its queue', async (state) => {
    await set({ onFailure: 'hold' });
    expect(await nextAfter(state)).toEqual([]);
    const [first] = await sql<{ id: TaskId }[]>`SELECT id FROM tasks WHERE input = 'first'`;
    expect(await queueState(sql, sessionId, 1)).toMatchObject({
      held_after: first?.id,
      waiting: 1,
      on_failure: 'hold',
    });
    expect((await frames()).at(-1)).toMatchObject({ type: 'queue', held_after: first?.id });
    await set({ held: false });
    expect(await claimed()).toEqual(['second']);
  });

  test('a completed task holds nothing, and a failure without waiting tasks neither', async () => {
    await set({ onFailure: 'hold' });
    expect(await nextAfter('completed')).toEqual(['second']);
    const [second] = await sql<{ id: TaskId }[]>`SELECT id FROM tasks WHERE input = 'second'`;
    await sql.begin((tx) => failUnstarted(tx, { taskId: second?.id as TaskId, code: 'internal_error', summary: 's' }));
    await insert('third');
    expect(await claimed()).toEqual(['third']);
  });
});

test('an interrupt cancels the running task, is the next one, and holds no queue', async () => {
  await set({ onFailure: 'hold' });
  const running = await insert('running');
  await insert('waiting');
  expect(await claimed()).toEqual(['running']);
  const by = '00000000-0000-4000-8000-00000000000a' as TaskId;
  await sql.begin(async (tx) => {
    const { interrupted, position } = await interruptSession(tx, { sessionId, by });
    expect(interrupted).toBe(running);
    await insertTask(tx, { id: by, projectId, input: 'now', sessionId, queuePosition: position });
  });
  expect(await sql`SELECT cancel_reason, interrupted_by FROM tasks WHERE id = ${running}`).toEqual([
    { cancel_reason: 'Interrupted by the next message.', interrupted_by: by },
  ]);
  expect(await inputs()).toEqual(['now', 'waiting']);
  await finish(running, 'cancelled');
  expect(await claimed()).toEqual(['now']);
});
