/** The worker is killed, suspended or stopped in the middle of a turn. */
import { setTimeout as sleep } from 'node:timers/promises';
import { ApplicationFailure } from '@temporalio/common';
import proto from '@temporalio/proto';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { TaskId } from '../../contract/ids.ts';
import { taskWorkflowId } from '../../contract/names.ts';
import { type Lab, startLab } from '../lab/lab.ts';
import { isWaiting, type LabFrame } from '../lab/observer.ts';
import { attemptsOf, expectWhole } from '../lab/whole.ts';

const STARTED = proto.temporal.api.enums.v1.PendingActivityState.PENDING_ACTIVITY_STATE_STARTED;

let lab: Lab;
beforeEach(async () => {
  lab = await startLab();
});
afterEach(() => lab.close());

const WORK =
  'write first.txt with first. say the first part is done. slowly over 4 seconds. say one two three four five six seven. write second.txt with second';

const isDelta = (frame: LabFrame, text: string): boolean =>
  frame.type === 'delta' && String(frame.body['content']).includes(text);

/** A tool call that did not come to its end. */
const isCutOff = (frame: LabFrame): boolean =>
  frame.type === 'tool_call' && (frame.body['call'] as { status: string }).status === 'failed';

const FILES = { 'first.txt': 'first', 'second.txt': 'second' };

/** Nanoseconds that the attempt after a lost one was made to wait, by history. */
async function retryPauses(task: TaskId): Promise<unknown[]> {
  const { events } = await lab.client.workflow.getHandle(taskWorkflowId(task)).fetchHistory();
  return (events ?? []).flatMap(({ activityTaskStartedEventAttributes: started }) => {
    const lost = started?.lastFailure?.applicationFailureInfo;
    return lost ? [[lost.type, Number(lost.nextRetryDelay?.seconds), lost.nextRetryDelay?.nanos]] : [];
  });
}

const NO_PAUSE = ['worker_lost', 0, 1_000_000];

test('killed in mid-turn: the next worker continues in the agent session, one message, one change', async () => {
  const before = await lab.repository.fingerprint();
  const worker = await lab.startWorker();
  const task = await lab.submit({ input: WORK });
  await lab.untilFrame(task, 'text of the slow part', (frame) => isDelta(frame, 'one'));
  worker.kill('SIGKILL');
  await worker.exited;
  await lab.startWorker();

  await expectWhole(lab, task, { files: FILES });
  expect(await attemptsOf(lab, task)).toMatchObject([
    { attempt: 1, error_code: 'worker_lost' },
    { attempt: 2, error_code: null },
  ]);
  expect(await retryPauses(task)).toEqual([NO_PAUSE]);
  const content = (await lab.messages(task))[1]?.content ?? '';
  expect(content.split('the first part is done')).toHaveLength(2);
  expect(await lab.repository.fingerprint()).toEqual(before);
});

test('stopped in mid-turn: nothing is cancelled, the next worker continues', async () => {
  const gate = lab.gate();
  const worker = await lab.startWorker();
  const task = await lab.submit({
    input: `write first.txt with first. run cat ${gate.path}. write second.txt with second`,
  });
  await lab.untilFrame(task, 'the agent waits', isWaiting);
  worker.kill('SIGTERM');
  expect(await worker.exited).toBe(0);
  expect(await lab.task(task)).toMatchObject({ state: 'running' });
  expect((await lab.frames(task)).filter(isCutOff)).toEqual([]); // it continues: nothing has failed
  await lab.startWorker();
  await gate.open();

  await expectWhole(lab, task, { files: FILES });
  expect(await retryPauses(task)).toEqual([NO_PAUSE]);
  expect((await lab.frames(task)).filter(isCutOff)).toHaveLength(1);
});

test('a worker that was suspended and replaced: the database refuses its writes when it continues', async () => {
  const gate = lab.gate();
  const zombie = await lab.startWorker();
  const words = Array.from({ length: 200 }, (_, number) => `word${number}`).join(' ');
  const task = await lab.submit({
    input: `write first.txt with first. slowly over 4 seconds. say ${words}. run cat ${gate.path}. write second.txt with second`,
  });
  await lab.untilFrame(task, 'text of the slow part', (frame) => isDelta(frame, 'word'));
  // Its agent speaks on into the pipe: that is what the zombie will want to write.
  zombie.kill('SIGSTOP');
  // Its open polls, which would swallow the next attempts for a minute, go with the server's connections.
  lab.killTemporal();
  await lab.reviveTemporal();
  await lab.startWorker();
  await lab.until('an attempt of the new worker', async () => {
    const rows = await lab.sql`SELECT FROM attempts WHERE task_id = ${task} AND attempt > 1 AND spawned_at IS NOT NULL`;
    if (rows.length > 0) return true;
    await replaceAttempt(task, zombie.pid);
    return false;
  });
  zombie.kill('SIGCONT');
  await lab.until('the zombie to be refused', async () => (await lab.logs()).includes('expected writer'));
  await gate.open();

  await expectWhole(lab, task, { files: FILES });
});

/** What the heartbeat timeout does after 60 s. */
async function replaceAttempt(task: TaskId, pid: number): Promise<void> {
  const workflowId = taskWorkflowId(task);
  const { raw } = await lab.client.workflow.getHandle(workflowId).describe();
  const [step] = raw.pendingActivities ?? [];
  if (!step?.activityId || step.state !== STARTED || !step.lastWorkerIdentity?.startsWith(`${pid}@`)) return;
  const failure = ApplicationFailure.retryable('heartbeat timeout', 'worker_lost');
  await lab.client.activity.fail({ workflowId, activityId: step.activityId }, failure);
}

test('killed while tasks wait and others run: all of them complete', async () => {
  const worker = await lab.startWorker();
  const input = 'write first.txt with first. run sleep 1. write second.txt with second';
  const tasks = await Promise.all(Array.from({ length: 8 }, () => lab.submit({ input })));
  await lab.until('a turn at work', async () => {
    const rows = await lab.sql`SELECT FROM tasks WHERE phase = 'working'`;
    return rows.length > 0;
  });
  worker.kill('SIGKILL');
  await worker.exited;
  await lab.startWorker();
  for (const task of tasks) await lab.ended(task); // a lock of one that runs is no leftover of another
  for (const task of tasks) await expectWhole(lab, task, { files: FILES });
});

test('a turn whose attempt Temporal ended while the worker is healthy is adopted, not started again', async () => {
  const gate = lab.gate();
  await lab.startWorker();
  const input = `write first.txt with first. run cat ${gate.path}. write second.txt with second`;
  const task = await lab.submit({ input });
  await lab.untilFrame(task, 'the agent waits', isWaiting);
  const workflowId = taskWorkflowId(task);
  const { raw } = await lab.client.workflow.getHandle(workflowId).describe();
  const activityId = raw.pendingActivities?.[0]?.activityId ?? '';
  const failure = ApplicationFailure.retryable('heartbeat timeout', 'worker_lost');
  await lab.client.activity.fail({ workflowId, activityId }, failure);
  await lab.until('the second attempt', async () => (await attemptsOf(lab, task)).length === 2);
  await lab.until('the first attempt to end', async () => (await lab.logs()).includes('dispatchAgent failed'));
  // It gives the turn 30 s to be adopted. That nothing happens then, to a turn that was, has no event to wait for.
  await sleep(32_000);
  await gate.open();

  await expectWhole(lab, task, { files: FILES });
  const [first, second] = await attemptsOf(lab, task);
  expect(second).toMatchObject({ pid: first?.pid, token: first?.token });
});
