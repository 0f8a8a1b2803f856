import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { idOf } from '../../store/ids.ts';
import { lockTaskToOpen, openTask } from '../../store/open-task.ts';
import { forgetRun, releaseClaim, storeRun } from '../../store/queue.ts';
import type { Sql, Tx } from '../../store/sql.ts';
import {
  begin,
  cancelUnstarted,
  end,
  enterCleaning,
  enterCollecting,
  enterTurnPhase,
  failUnstarted,
  requestCancel,
  storeWorktree,
} from '../../store/tasks.ts';
import type { Transition } from '../../store/transition.ts';
import type { SessionId, TaskId } from '../../contract/ids.ts';
import { freshDatabase, type LabDatabase } from '../lab/database.ts';
import { logOf } from '../lab/turn.ts';

let database: LabDatabase;
let sql: Sql;

beforeEach(async () => {
  database = await freshDatabase();
  ({ sql } = database);
});
afterEach(async () => {
  await database.drop();
});

async function insert(): Promise<TaskId> {
  const [project] = await sql<
    { id: string }[]
  >`INSERT INTO projects (name, path) VALUES ('p', '/nowhere') RETURNING id`;
  const [task] = await sql<{ id: TaskId }[]>`
    INSERT INTO tasks ${sql({ project_id: project?.id ?? null, input: 'Do it', agent: 'demo' })} RETURNING id`;
  if (!task) throw new Error('nothing was inserted');
  return task.id;
}

async function open(id: TaskId): Promise<SessionId> {
  const conversation = {
    sessionId: idOf(id, 'session'),
    chatId: idOf(id, 'chat'),
    messageId: idOf(id, 'assistant-message'),
    isNewSession: true,
    isNewChat: true,
  };
  await sql.begin(async (tx) => {
    const task = await lockTaskToOpen(tx, id);
    if (!task) throw new Error('no task');
    expect(await openTask(tx, { task, conversation, path: 'acp', runId: null, host: 'lab' })).toMatchObject(moved);
  });
  return conversation.sessionId;
}

const moved = { kind: 'moved' };

/** In the log of its session, without the frames of the opening. */
async function statesOf(sessionId: SessionId): Promise<unknown[]> {
  const log = await logOf(sql, sessionId);
  return log.flatMap(({ key, body }) => (body.type === 'task_state' ? [[key, body.state, body.phase]] : []));
}

const TRANSITIONS: readonly (readonly [string, (tx: Tx, id: TaskId) => Promise<Transition>])[] = [
  ['begin', (tx, taskId) => begin(tx, { taskId, worktreePath: '/w' })],
  ['storeWorktree', (tx, taskId) => storeWorktree(tx, { taskId, worktreePath: '/w', base: 'b' })],
  ['enterTurnPhase', (tx, taskId) => enterTurnPhase(tx, { taskId, phase: 'working', key: 'k' })],
  ['enterCollecting', enterCollecting],
  ['enterCleaning', enterCleaning],
  ['requestCancel', (tx, taskId) => requestCancel(tx, taskId, 'why')],
  ['cancelUnstarted', (tx, taskId) => cancelUnstarted(tx, { taskId, summary: 's' })],
  ['failUnstarted', (tx, taskId) => failUnstarted(tx, { taskId, code: 'terminated', summary: 's' })],
  ['end', (tx, taskId) => end(tx, { taskId, state: 'completed', summary: 's', before: [] })],
  ['forgetRun', (tx, taskId) => forgetRun(tx, taskId, 'run')],
  ['releaseClaim', releaseClaim],
];

describe.each(TRANSITIONS)('%s', (_, transition) => {
  test('is superseded by a final state, and changes and reports nothing', async () => {
    const id = await insert();
    const sessionId = await open(id);
    await sql`UPDATE tasks SET state = 'failed', ended_at = now() WHERE id = ${id}`;
    const before = await sql`SELECT * FROM tasks WHERE id = ${id}`;
    const log = await logOf(sql, sessionId);
    expect(await sql.begin((tx) => transition(tx, id))).toEqual({ kind: 'superseded', state: 'failed' });
    expect(await sql`SELECT * FROM tasks WHERE id = ${id}`).toEqual(before);
    expect(await logOf(sql, sessionId)).toEqual(log);
  });

  test('is superseded if the row does not exist', async () => {
    const id = '00000000-0000-4000-8000-000000000000' as TaskId;
    expect(await sql.begin((tx) => transition(tx, id))).toEqual({ kind: 'superseded', state: undefined });
  });
});

test('a task moves from its opening to its end; each reported phase is one frame, also if the step runs again', async () => {
  const taskId = await insert();
  const sessionId = await open(taskId);
  expect(await storeRun(sql, taskId, 'run')).toMatchObject(moved);
  await sql.begin(async (tx) => {
    for (const _ of ['first', 'again']) expect(await begin(tx, { taskId, worktreePath: '/w' })).toMatchObject(moved);
    expect(await storeWorktree(tx, { taskId, worktreePath: '/w', base: 'first' })).toMatchObject(moved);
    expect(await storeWorktree(tx, { taskId, worktreePath: '/w', base: 'second' })).toMatchObject(moved);
    await tx`UPDATE tasks SET phase = 'starting' WHERE id = ${taskId}`;
    expect(await enterTurnPhase(tx, { taskId, phase: 'working', attempt: 1, key: 'p-1' })).toMatchObject(moved);
    for (const _ of ['first', 'again']) expect(await enterCollecting(tx, taskId)).toMatchObject(moved);
    const late = await enterTurnPhase(tx, { taskId, phase: 'working', attempt: 1, key: 'p-2' });
    expect(late).toEqual({ kind: 'superseded', state: 'running' });
    expect(await end(tx, { taskId, state: 'completed', summary: 'Done.', before: [] })).toMatchObject(moved);
  });
  expect(await statesOf(sessionId)).toEqual([
    [`${taskId}:preparing`, 'running', 'preparing'],
    [`${taskId}:p-1`, 'running', 'working'],
    [`${taskId}:collecting`, 'running', 'collecting'],
    [`${taskId}:end`, 'completed', 'completed'],
  ]);
  const [row] = await sql`SELECT state, phase, base_commit, output_summary FROM tasks WHERE id = ${taskId}`;
  expect(row).toEqual({ state: 'completed', phase: 'completed', base_commit: 'first', output_summary: 'Done.' });
});

test('a task with an unknown state is collected and ended', async () => {
  const taskId = await insert();
  // As a row that is older than our triggers.
  await sql`ALTER TABLE tasks DISABLE TRIGGER USER`;
  await sql`UPDATE tasks SET state = 'odd' WHERE id = ${taskId}`;
  await sql`ALTER TABLE tasks ENABLE TRIGGER USER`;
  expect(await sql.begin((tx) => enterCollecting(tx, taskId))).toMatchObject(moved);
  const ended = await sql.begin((tx) =>
    end(tx, { taskId, state: 'failed', code: 'terminated', summary: 's', before: [] }),
  );
  expect(ended).toMatchObject(moved);
});

test('an unstarted task that is cancelled reports its end to its session', async () => {
  const taskId = await insert();
  const sessionId = await open(taskId);
  await sql`UPDATE tasks SET claimed_at = NULL WHERE id = ${taskId}`;
  expect(await sql.begin((tx) => cancelUnstarted(tx, { taskId, summary: 's' }))).toMatchObject(moved);
  expect(await statesOf(sessionId)).toEqual([[`${taskId}:end`, 'cancelled', 'cancelled']]);
});
