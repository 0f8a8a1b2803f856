/** A task can be cancelled at any moment, and what the agent wrote until then is kept. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { TaskId } from '../../contract/ids.ts';
import { settleWorkflowId, taskWorkflowId } from '../../contract/names.ts';
import { heldGit, type HeldGit } from '../lab/held-git.ts';
import { type Lab, startLab } from '../lab/lab.ts';
import { isWaiting } from '../lab/observer.ts';
import { type Hold, hold } from '../lab/until.ts';

let lab: Lab;
let git: HeldGit;
beforeAll(async () => {
  lab = await startLab({ slots: 1 });
  git = await heldGit(`${lab.home}/held-git`);
  await lab.startWorker(git.env);
});
afterAll(() => lab.close());

async function working(): Promise<TaskId> {
  const task = await lab.submit({ input: 'write a.txt with a. run sleep 600. write b.txt with b' });
  await lab.untilFrame(task, 'the agent is at work', isWaiting);
  return task;
}

/** Resolves when the table is locked. */
const holdTable = (table: string): Promise<Hold> =>
  hold(lab.sql, (tx) => tx.unsafe(`LOCK TABLE ${table} IN ACCESS EXCLUSIVE MODE`));

test('while it waits for a slot: no worktree was made for it', async () => {
  const first = await working();
  const second = await lab.submit({ input: 'write a.txt with a' });
  await lab.until('the second task to be opened', async () => (await lab.task(second)).session_id !== null);
  await lab.cancel(second);
  expect(await lab.ended(second)).toMatchObject({ state: 'cancelled', started_at: null, worktree_path: null });
  expect(await lab.task(first)).toMatchObject({ state: 'running' });
  await lab.cancel(first);
  await lab.ended(first);
});

test('while the agent works: the agent is ended at once, its edits are a partial change', async () => {
  const task = await working();
  await lab.cancel(task);
  await lab.cancel(task); // twice is once
  expect(await lab.ended(task)).toMatchObject({ state: 'cancelled', output_summary: 'Cancelled: test' });
  expect(await lab.changes(task)).toMatchObject([{ partial: true }]);
  expect(await lab.inChange(task, 'a.txt')).toBe('a');
  expect((await lab.messages(task))[1]).toMatchObject({ status: 'cancelled' });
  expect(await lab.leftovers(task)).toEqual([]);
});

test('from the Web UI: the same result', async () => {
  const task = await working();
  await lab.client.workflow.getHandle(taskWorkflowId(task)).cancel();
  expect(await lab.ended(task)).toMatchObject({ state: 'cancelled' });
  expect(await lab.changes(task)).toMatchObject([{ partial: true }]);
  expect(await lab.leftovers(task)).toEqual([]);
});

test.each([
  ['create worktree', 'reset', 0],
  ['diff worktree', 'write-tree', 1],
])('in the step %s, held in git', async (_step, words, changes) => {
  await git.hold(words);
  const task = await lab.submit({ input: 'write a.txt with a' });
  await lab.until('git to wait', async () => git.holds());
  await lab.cancel(task);
  await lab.until('the cancel request to arrive', async () => (await lab.status(task)).cancelRequested);
  await git.release();
  expect(await lab.ended(task)).toMatchObject({ state: 'cancelled' });
  expect(await lab.changes(task)).toHaveLength(changes);
  expect(await lab.leftovers(task)).toEqual([]);
});

test.each([
  ['open session', 'chats', 0],
  ['queue change', 'pending_changes', 1],
  ['finish', 'messages', 1],
])('in the step %s, held by a table lock', async (step, table, changes) => {
  // The diff is held first, so that the lock is there before the step that it is for.
  const atStart = step === 'open session';
  if (!atStart) await git.hold('write-tree');
  let held = atStart ? await holdTable(table) : undefined;
  const task = await lab.submit({ input: 'write a.txt with a' });
  if (!atStart) {
    await lab.until('git to wait', async () => git.holds());
    held = await holdTable(table);
    await git.release();
  }
  const workflow = lab.client.workflow.getHandle(taskWorkflowId(task));
  await lab.until(`the step ${step}`, async () => (await lab.statusIfRuns(task))?.step === step);
  await workflow.cancel();
  await held?.release();
  expect(await lab.ended(task)).toMatchObject({ state: step === 'finish' ? 'completed' : 'cancelled' });
  expect(await lab.changes(task)).toHaveLength(changes);
});

test('after the end: it changes nothing and the response says so', async () => {
  const task = await lab.submit({ input: 'write a.txt with a' });
  await lab.ended(task);
  expect(await lab.cancel(task)).toMatchObject({ kind: 'already_ended', state: 'completed' });
  expect(await lab.task(task)).toMatchObject({ state: 'completed' });
});

test('terminated in the Web UI: the closing steps still run', async () => {
  const task = await working();
  await lab.client.workflow.getHandle(taskWorkflowId(task)).terminate('test');
  await lab.settleLost();
  await lab.client.workflow.getHandle(settleWorkflowId(task)).result();
  expect(await lab.ended(task)).toMatchObject({ state: 'failed', error_code: 'terminated' });
  expect(await lab.changes(task)).toMatchObject([{ partial: true }]);
  expect(await lab.leftovers(task)).toEqual([]);
});
