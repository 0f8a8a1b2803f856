/**
 * The machine loses its power: everything of a home is killed, and Temporal's last commits are gone, because SQLite does
 * not sync each one (`synchronous=NORMAL`). Postgres does, and keeps all. So Temporal has forgotten what the rows say.
 *
 * Not covered: what agents and git had written and the kernel had not; a copy of the database stands for the loss.
 */
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { TaskId } from '../../contract/ids.ts';
import { type LabHome, startHome } from '../lab/home.ts';
import { hold } from '../lab/until.ts';
import { attemptsOf, expectWhole } from '../lab/whole.ts';

const FILES = { 'first.txt': 'first', 'second.txt': 'second' };
const SHORT = 'write first.txt with first. say short. write second.txt with second';

let lab: LabHome;
let before: Record<string, string>;
beforeAll(async () => {
  lab = await startHome({ env: { LONGHAUL_AGENT_SLOTS: '1' } });
  before = await lab.repository.fingerprint();
});
afterAll(() => lab.close());

interface Held {
  readonly task: TaskId;
  readonly goOn: () => Promise<void>;
}

/** Waits at a gate; in a given session it is the next task. */
async function held(sessionId?: string, files = ['first', 'second']): Promise<Held> {
  const gate = lab.seen.gate();
  const [first, second] = files;
  const task = await lab.seen.submit({
    input: `write ${first}.txt with ${first}. say part one. run cat ${gate.path}. say part two. write ${second}.txt with ${second}`,
    ...(sessionId === undefined ? {} : { sessionId }),
  });
  return { task, goOn: () => gate.open() };
}

const atWork = async (task: TaskId): Promise<void> => {
  await lab.seen.until('the agent waits', async () => {
    const frames = await lab.seen.sql`SELECT FROM frames WHERE task_id = ${task} AND type = 'tool_call'
                                   AND body->'call'->>'kind' = 'execute' AND body->'call'->>'status' = 'in_progress'`;
    return frames.length > 0;
  });
};

async function losePower(since: string): Promise<void> {
  await lab.kill('all');
  await lab.loseSince(since);
  await lab.up();
}

/** No step said anything that is not so. */
async function expectNoWarnings(task: TaskId): Promise<void> {
  expect((await lab.seen.frames(task)).filter(({ type }) => type === 'warning')).toEqual([]);
}

test('Temporal does not know a running task: a new run continues in the agent session', async () => {
  const then = await lab.temporalNow();
  const { task, goOn } = await held();
  await atWork(task);
  const { run_id } = await lab.seen.task(task);
  await losePower(then);
  await goOn();

  await expectWhole(lab.seen, task, { files: FILES });
  expect((await lab.seen.task(task)).run_id).not.toBe(run_id);
  expect(await attemptsOf(lab.seen, task)).toMatchObject([{ error_code: 'worker_lost' }, { error_code: null }]);
  const said = (await lab.seen.messages(task)).at(-1)?.content ?? '';
  expect(said.split('part one')).toHaveLength(2);
  await expectNoWarnings(task);
});

test('Temporal does not know a task that has ended: the task is unchanged', async () => {
  const then = await lab.temporalNow();
  const task = await lab.seen.submit({ input: SHORT });
  await lab.seen.ended(task);
  const row = await lab.seen.task(task);
  const frames = await lab.seen.frames(task);
  await losePower(then);
  // The next one passes where that one would have.
  await expectWhole(lab.seen, await lab.seen.submit({ input: SHORT }), { files: FILES });

  await expectWhole(lab.seen, task, { files: FILES, runLost: true });
  expect(await lab.seen.task(task)).toEqual(row);
  expect(await lab.seen.frames(task)).toEqual(frames);
});

test.each([
  ['with a change', 'first.txt', FILES],
  ['without any', '', {}],
])('Temporal has lost the end of a task, %s: its run ends, and no step has a second effect', async (_, file, files) => {
  const gate = lab.seen.gate();
  const writes = file === '' ? 'say nothing' : 'write first.txt with first';
  const task = await lab.seen.submit({
    input: `${writes}. run cat ${gate.path}. ${file === '' ? 'say done' : 'write second.txt with second'}`,
  });
  await atWork(task);
  const then = await lab.temporalNow();
  await gate.open();
  await lab.seen.ended(task);
  const row = await lab.seen.task(task);
  const frames = await lab.seen.frames(task);
  await losePower(then);

  await expectWhole(lab.seen, task, { files });
  expect(await lab.seen.task(task)).toEqual(row);
  expect(await lab.seen.frames(task)).toEqual(frames);
});

test('Temporal has lost attempts: the next one is numbered after those in the rows', async () => {
  const first = await held();
  await atWork(first.task);
  const second = await held();
  await lab.seen.until('it to be opened', async () => (await lab.seen.task(second.task)).session_id !== null);
  const then = await lab.temporalNow();
  await first.goOn();
  await lab.seen.ended(first.task);
  await atWork(second.task);
  await lab.kill(['worker']);
  await lab.up();
  await lab.seen.until('its second attempt', async () => {
    const attempts = await attemptsOf(lab.seen, second.task);
    return attempts.length === 2 && attempts[1]?.pid;
  });
  await losePower(then);
  await second.goOn();

  await expectWhole(lab.seen, second.task, { files: FILES });
  expect(await attemptsOf(lab.seen, second.task)).toMatchObject([
    { attempt: 1 },
    { attempt: 2 },
    { attempt: 3, error_code: null },
  ]);
  await expectWhole(lab.seen, first.task, { files: FILES });
  for (const { task } of [first, second]) await expectNoWarnings(task);
});

test('Temporal has lost the end of a task whose session runs the next one: each task has its own files', async () => {
  const first = await held();
  await atWork(first.task);
  const { session_id } = await lab.seen.task(first.task);
  const then = await lab.temporalNow();
  await first.goOn();
  await lab.seen.ended(first.task);
  const next = await held(session_id ?? '', ['third', 'fourth']);
  await atWork(next.task);
  const commit = await lab.seen.results('rev-parse', `refs/longhaul/tasks/${first.task}`);
  await losePower(then);
  await lab.seen.ended(first.task);
  await next.goOn();
  await lab.seen.ended(next.task);

  expect(await lab.seen.results('rev-parse', `refs/longhaul/tasks/${first.task}`)).toBe(commit);
  expect(await lab.seen.task(next.task)).toMatchObject({ state: 'completed', error_code: null });
  for (const name of ['first', 'second', 'third', 'fourth']) {
    expect(await lab.seen.inChange(next.task, `${name}.txt`)).toBe(name);
  }
  for (const { task } of [first, next]) {
    expect(await lab.seen.changes(task)).toMatchObject([{ partial: false }]);
    expect(await lab.seen.leftovers(task)).toEqual([]);
  }
});

test('Temporal does not know a task whose work is collected and not queued: it is queued, once', async () => {
  const then = await lab.temporalNow();
  // Goes with Postgres.
  await hold(lab.seen.sql, (tx) => tx`LOCK TABLE pending_changes IN EXCLUSIVE MODE`);
  const task = await lab.seen.submit({ input: SHORT });
  await lab.seen.until('its step', async () => (await lab.seen.statusIfRuns(task))?.step === 'queue change');
  await losePower(then);

  await expectWhole(lab.seen, task, { files: FILES });
  expect(await attemptsOf(lab.seen, task)).toMatchObject([{ attempt: 1, error_code: null }]);
  await expectNoWarnings(task);
});

test('a cancel that Temporal has lost is carried out, and no agent is started for the task', async () => {
  const { task } = await held();
  await atWork(task);
  const then = await lab.temporalNow();
  // As it was written while Temporal was about to lose it.
  await lab.seen.sql`UPDATE tasks SET cancel_requested_at = now(), cancel_reason = 'test' WHERE id = ${task}`;
  await losePower(then);

  await expectWhole(lab.seen, task, { files: { 'first.txt': 'first' }, state: 'cancelled', runLost: true });
  expect(await attemptsOf(lab.seen, task)).toHaveLength(1);
  expect(await lab.repository.fingerprint()).toEqual(before);
});
