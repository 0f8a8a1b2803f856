/** A cancel while the worker is dead. The next worker ends the task and starts no agent for it. */
import { afterEach, beforeEach, expect, test } from 'vitest';
import { taskWorkflowId } from '../../contract/names.ts';
import { type Lab, startLab } from '../lab/lab.ts';
import { isWaiting } from '../lab/observer.ts';
import { attemptsOf, expectWhole } from '../lab/whole.ts';

let lab: Lab;
beforeEach(async () => {
  lab = await startLab();
});
afterEach(() => lab.close());

test.each([
  ['by a person', 'row' as const],
  ['in the Web UI', 'run' as const],
])('cancelled %s in mid-turn while the worker is dead: the edits are kept', async (_, how) => {
  const before = await lab.repository.fingerprint();
  const worker = await lab.startWorker();
  const task = await lab.submit({ input: 'write first.txt with first. say part one. run sleep 600' });
  await lab.untilFrame(task, 'the agent is at work', isWaiting);
  worker.kill('SIGKILL');
  await worker.exited;
  if (how === 'row') expect(await lab.cancel(task)).toEqual({ kind: 'requested' });
  else await lab.client.workflow.getHandle(taskWorkflowId(task)).cancel();
  await lab.startWorker();

  await expectWhole(lab, task, { files: { 'first.txt': 'first' }, state: 'cancelled' });
  if (how === 'row') expect(await attemptsOf(lab, task)).toMatchObject([{ attempt: 1, error_code: 'worker_lost' }]);
  expect(await lab.repository.fingerprint()).toEqual(before);
});

test('cancelled before any worker ran: no worktree or agent was created', async () => {
  const before = await lab.repository.fingerprint();
  const task = await lab.submit({ input: 'write first.txt with first' });
  await lab.until('its run', async () => (await lab.task(task)).run_id !== null);
  expect(await lab.cancel(task)).toEqual({ kind: 'requested' });
  await lab.startWorker();
  expect(await lab.ended(task)).toMatchObject({ state: 'cancelled', started_at: null, worktree_path: null });
  expect(await lab.changes(task)).toEqual([]);
  expect(await attemptsOf(lab, task)).toEqual([]);
  expect(await lab.repository.fingerprint()).toEqual(before);
});
