/** The queue of a session while parts are killed, and while it is changed beside the claims of intake. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { dequeueTask, editTask, getQueue, moveTask } from '../../client/session-queue.ts';
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

/** The number of waiting tasks that are changed beside intake. */
const WAITING = 9;
/** The phases in which the next task of the session is about to be claimed, or may be. */
const CLOSING: readonly string[] = ['collecting', 'cleaning', 'completed', 'cancelled'];

const FOLLOW_UPS = 50;
/** What is killed when a task has begun, by the number of the task. */
const KILLS: ReadonlyMap<number, readonly PartName[]> = new Map([
  [5, ['worker']],
  [15, ['backend']],
  [25, ['worker', 'backend']],
  [35, ['backend', 'worker']],
  [45, ['worker']],
] as const);

test('50 follow-ups of a session run once each, in their order, with worker and backend killed on the way', async () => {
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

/** A session with waiting tasks; its first task runs until the gate is opened. */
async function sessionWithQueue(): Promise<{
  sessionId: SessionId;
  first: TaskId;
  waiting: TaskId[];
  open: () => Promise<void>;
}> {
  const gate = home.seen.gate();
  const { sessionId, first } = await session(`run cat ${gate.path}`);
  const waiting: TaskId[] = [];
  for (let number = 0; number < WAITING; number++) waiting.push(await add(sessionId, `say original${number}`));
  return { sessionId, first, waiting, open: () => gate.open() };
}

test('a task does what the last accepted edit says, and a removed one does not start, while intake claims', async () => {
  const { first, waiting, open } = await sessionWithQueue();
  await open();
  const expected = new Map<TaskId, string>();
  const removed: TaskId[] = [];
  for (const [number, task] of waiting.entries()) {
    const previous = waiting[number - 1] ?? first;
    const isClosing = async () => CLOSING.includes((await home.seen.task(previous)).phase);
    await home.seen.until(`the end of the task before task ${number}`, isClosing);
    // Edits it until it has started or is removed. It is removed when intake may claim it.
    for (let edit = 0; ; edit++) {
      const claimable = number % 3 === 2 && (await home.seen.task(previous)).ended_at !== null;
      if (claimable && (await wins(dequeueTask(home.seen, task)))) removed.push(task);
      if (!(await wins(editTask(home.seen, task, `say edit${number}-${edit}`)))) break;
      expected.set(task, `edit${number}-${edit}`);
    }
  }
  for (const task of waiting) {
    const isRemoved = removed.includes(task);
    const { state, run_id: run } = await home.seen.ended(task);
    expect([task, state, run !== null]).toEqual([task, isRemoved ? 'cancelled' : 'completed', !isRemoved]);
    const messages = await home.seen.messages(task);
    const said = expected.get(task) ?? `original${waiting.indexOf(task)}`;
    expect(messages.find(({ role }) => role === 'user')?.content).toBe(`say ${said}`);
    const reply = messages.find(({ role }) => role === 'assistant')?.content;
    expect(reply?.trim().split('\n').at(-1)).toBe(isRemoved ? undefined : said);
  }
  expect(expected.size).toBeGreaterThan(0);
});

test('each task starts by the order of the last move before its claim, while intake claims', async () => {
  const { sessionId, first, waiting, open } = await sessionWithQueue();
  let moves = 0;
  for (;;) {
    const last = (await getQueue(home.seen, sessionId)).tasks.at(-1)?.task_id;
    if (last === undefined) break;
    if (!(await wins(moveTask(home.seen, last, 1)))) continue;
    moves++;
    if (moves === 1) await open();
  }
  for (const task of waiting) expect(await home.seen.ended(task)).toMatchObject({ state: 'completed' });
  expect(moves).toBeGreaterThan(1);
  // Each frame shows the queue of a moment. What is missing in the next one was claimed between: the first tasks.
  const frames = (await home.seen.frames(first)).filter(({ type }) => type === 'queue');
  const orders = frames.map(({ body }) => body['tasks'] as TaskId[]);
  const started = [first];
  for (const [at, order] of orders.entries()) {
    const claimed = order.filter((task) => !orders[at + 1]?.includes(task));
    expect(claimed).toEqual(order.slice(0, claimed.length));
    started.push(...claimed);
  }
  expect(await claims(sessionId)).toEqual(started);
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
