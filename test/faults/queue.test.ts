/** The queue of a session while parts are killed, and while it is changed beside the claims of intake. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { dequeueTask, editTask, moveTask } from '../../client/session-queue.ts';
import { submit } from '../../client/submit.ts';
import { LonghaulError } from '../../contract/errors.ts';
import type { SessionId, TaskId } from '../../contract/ids.ts';
import { type LabHome, type PartName, startHome } from '../lab/home.ts';
import { isWaiting } from '../lab/observer.ts';

let home: LabHome;
beforeAll(async () => {
  home = await startHome();
});
afterAll(() => home.close());

/** A session whose first task is `input`, and has begun. */
async function session(input: string): Promise<{ sessionId: SessionId; first: TaskId }> {
  const first = await home.seen.submit({ input });
  const sessionId = await home.seen.until(
    'its session',
    async () => (await home.seen.task(first)).session_id ?? undefined,
  );
  return { sessionId: sessionId as SessionId, first };
}

const add = async (sessionId: SessionId, input: string): Promise<TaskId> =>
  (await submit({ sql: home.seen.sql }, { sessionId, input, agent: 'demo' })).taskId;

/** The tasks in the order of their claims. */
async function claims(sessionId: SessionId): Promise<TaskId[]> {
  const rows = await home.seen.sql<{ id: TaskId }[]>`
    SELECT id FROM tasks WHERE session_id = ${sessionId} AND claimed_at IS NOT NULL ORDER BY claimed_at`;
  return rows.map(({ id }) => id);
}

const FOLLOW_UPS = 50;
/** What is killed when a task has begun, by the number of the task. */
const KILLS: ReadonlyMap<number, readonly PartName[]> = new Map([
  [5, ['worker']],
  [15, ['backend']],
  [25, ['worker', 'backend']],
  [35, ['backend', 'worker']],
  [45, ['worker']],
] as const);

test(`${FOLLOW_UPS} follow-ups of a session run once each, in their order, with worker and backend killed on the way`, async () => {
  const { sessionId, first } = await session('write log.txt with 0');
  const tasks = [first];
  for (let number = 1; number <= FOLLOW_UPS; number++) tasks.push(await add(sessionId, `append ${number} to log.txt`));
  for (const [number, parts] of KILLS) {
    const task = tasks[number] as TaskId;
    await home.seen.until(`task ${number} to begin`, async () => (await home.seen.task(task)).started_at ?? undefined);
    await home.kill(parts);
    await home.revive();
  }
  for (const task of tasks) expect(await home.seen.ended(task)).toMatchObject({ state: 'completed' });
  expect(await claims(sessionId)).toEqual(tasks);
  const last = tasks.at(-1) as TaskId;
  const numbers = Array.from({ length: FOLLOW_UPS + 1 }, (_, number) => String(number));
  expect((await home.seen.inChange(last, 'log.txt')).trim().split('\n')).toEqual(numbers);
  for (const task of tasks) expect(await home.seen.changes(task)).toHaveLength(1);
}, 900_000);

/** Returns whether the change was made. False: the task had started. */
const wins = (change: Promise<unknown>): Promise<boolean> =>
  change.then(
    () => true,
    (error: unknown) => {
      if (error instanceof LonghaulError && error.code === 'task_not_queued') return false;
      throw error;
    },
  );

test('a change that is accepted beside intake has its effect, and a refused one none', async () => {
  const { sessionId } = await session('say begin');
  const expected = new Map<TaskId, string>();
  const removed: TaskId[] = [];
  for (let number = 0; number < 20; number++) {
    const task = await add(sessionId, `say original${number}`);
    expected.set(task, `original${number}`);
  }
  for (const [number, task] of [...expected.keys()].entries()) {
    const [edited, other] = await Promise.all([
      wins(editTask(home.seen, task, `say edited${number}`)),
      number % 3 === 2 ? wins(dequeueTask(home.seen, task)) : false,
    ]);
    if (edited) expected.set(task, `edited${number}`);
    if (other) removed.push(task);
    // The next change comes when the next task may be claimed.
    if (!other) await home.seen.until(`task ${number}`, async () => (await home.seen.task(task)).run_id ?? undefined);
  }
  for (const [task, said] of expected) {
    const { state } = await home.seen.ended(task).catch(() => home.seen.task(task));
    expect([task, state]).toEqual([task, removed.includes(task) ? 'cancelled' : 'completed']);
    if (state !== 'completed') continue;
    const messages = await home.seen.messages(task);
    expect(messages.find(({ role }) => role === 'assistant')?.content.trim()).toBe(said);
    expect(messages.find(({ role }) => role === 'user')?.content).toBe(`say ${said}`);
  }
});

test('a task that is moved to the first place beside intake is the next one to start', async () => {
  const { sessionId } = await session('say begin');
  for (let number = 0; number < 20; number++) await add(sessionId, `say ${number}`);
  for (;;) {
    const waiting = await home.seen.sql<{ id: TaskId }[]>`
      SELECT id FROM tasks WHERE session_id = ${sessionId} AND claimed_at IS NULL ORDER BY queue_position DESC, created_at DESC`;
    const [last] = waiting;
    if (!last) break;
    const moved = await moveTask(home.seen, last.id, 1).catch((error: unknown) => {
      if (error instanceof LonghaulError && error.code === 'task_not_queued') return undefined;
      throw error;
    });
    if (!moved) continue;
    await home.seen.until('it to start', async () => (await home.seen.task(last.id)).run_id ?? undefined);
    const order = await claims(sessionId);
    const after = moved.tasks.map(({ task_id }) => task_id).filter((id) => id !== last.id);
    for (const id of after.filter((one) => order.includes(one))) {
      expect(order.indexOf(id)).toBeGreaterThan(order.indexOf(last.id));
    }
  }
  expect(await claims(sessionId)).toHaveLength(21);
});

test('an interrupt whose sender exits before it signals cancels the running task and runs the new one', async () => {
  const gate = home.seen.gate();
  const { sessionId, first } = await session(`run cat ${gate.path}`);
  await home.seen.untilFrame(first, 'the command to run', isWaiting);
  const waiting = await add(sessionId, 'say waiting');
  // Without Temporal: the row is committed, and this process sends no signal.
  const { taskId, interrupted } = await submit(
    { sql: home.seen.sql },
    { sessionId, input: 'say now', agent: 'demo', interrupt: true },
  );
  await home.kill(['worker', 'backend']);
  await home.revive();
  expect(interrupted).toBe(first);
  expect(await home.seen.ended(first)).toMatchObject({ state: 'cancelled' });
  for (const task of [taskId, waiting]) expect(await home.seen.ended(task)).toMatchObject({ state: 'completed' });
  expect(await claims(sessionId)).toEqual([first, taskId, waiting]);
});
