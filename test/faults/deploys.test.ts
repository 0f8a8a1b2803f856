/** Two workers of one host: a new version takes new tasks while the old one finishes its own, within the same slots. */
import { readdir } from 'node:fs/promises';
import path from 'node:path';
import proto from '@temporalio/proto';
import { afterEach, expect, test } from 'vitest';
import { findMarked } from '../../agents/process/end.ts';
import type { TaskId } from '../../contract/ids.ts';
import { taskWorkflowId, WORKFLOW_QUEUE } from '../../contract/names.ts';
import { type Lab, type LabOptions, type LabWorker, startLab } from '../lab/lab.ts';
import { isWaiting } from '../lab/observer.ts';
import { attemptsOf, expectWhole } from '../lab/whole.ts';

const STARTED = proto.temporal.api.enums.v1.PendingActivityState.PENDING_ACTIVITY_STATE_STARTED;

let lab: Lab;
afterEach(() => lab.close());

async function openLab(options: LabOptions): Promise<void> {
  lab = await startLab(options);
}

interface Gated {
  readonly task: TaskId;
  readonly open: () => Promise<void>;
}

/** A task whose agent writes, then waits, then writes. */
async function submitGated(): Promise<Gated> {
  const gate = lab.gate();
  const input = `write first.txt with first. run cat ${gate.path}. write second.txt with second`;
  return { task: await lab.submit({ input }), open: () => gate.open() };
}

const untilAtGate = ({ task }: Gated): Promise<unknown> => lab.untilFrame(task, 'the agent waits', isWaiting);

interface Step {
  readonly name: string;
  readonly worker: number;
  readonly heardAt: number;
}

/** The step that a worker has at the moment, by Temporal. */
async function stepOf(task: TaskId): Promise<Step | undefined> {
  const { raw } = await lab.client.workflow.getHandle(taskWorkflowId(task)).describe();
  const step = raw.pendingActivities?.find(({ state }) => state === STARTED);
  if (!step) return undefined;
  const worker = Number(step.lastWorkerIdentity?.split('@')[0]);
  return { name: step.activityType?.name ?? '', worker, heardAt: Number(step.lastHeartbeatTime?.seconds ?? 0) };
}

/** Its checkout waits for a slot, in a worker. */
const untilWaiting = (task: TaskId): Promise<Step> =>
  lab.until('a worker to have it', async () => {
    const step = await stepOf(task).catch(() => undefined);
    return step?.name === 'createWorktree' && step;
  });

const FILES = { 'first.txt': 'first', 'second.txt': 'second' };

/** The folder comes with the first turn. */
const slotsInUse = (): Promise<string[]> => readdir(path.join(lab.home, 'slots')).catch(() => []);

/** The most attempts that had an agent at the same time. */
async function mostAgentsAtOnce(): Promise<number> {
  const [row] = await lab.sql<{ most: number }[]>`
    SELECT max(n)::int AS most FROM (
      SELECT (SELECT count(*) FROM attempts o WHERE o.spawned_at <= a.spawned_at AND coalesce(o.ended_at, 'infinity') > a.spawned_at) AS n
        FROM attempts a WHERE a.spawned_at IS NOT NULL) counted`;
  return row?.most ?? 0;
}

test.each([1, 2])(
  'with %i slots, two workers of a host run no more agents at once, and later tasks wait without a checkout',
  async (slots) => {
    await openLab({ slots });
    await lab.startWorker();
    await lab.startWorker();
    const submitAll = (): Promise<Gated[]> => Promise.all(Array.from({ length: slots }, () => submitGated()));
    const working = await submitAll();
    for (const one of working) await untilAtGate(one);
    // Each worker may have as many steps as there are slots: these are given to one, too.
    const waiting = await submitAll();
    for (const { task } of waiting) {
      await untilWaiting(task);
      expect(await lab.task(task)).toMatchObject({ state: 'pending', started_at: null, worktree_path: null });
      expect(await lab.status(task)).toMatchObject({ phase: 'queued' });
      expect(findMarked(task)).toEqual([]);
    }
    expect(await slotsInUse()).toHaveLength(slots);
    for (const one of [...working, ...waiting]) {
      await untilAtGate(one);
      await one.open();
      await lab.ended(one.task);
    }
    for (const { task } of [...working, ...waiting]) await expectWhole(lab, task, { files: FILES });
    expect(await mostAgentsAtOnce()).toBe(slots);
    expect(await slotsInUse()).toEqual([]);
  },
);

/** The old worker has a task in mid-turn, the new one runs, and the old one has begun to drain. */
async function deploy(slots: number): Promise<{ old: LabWorker; fresh: LabWorker; first: Gated }> {
  await openLab({ slots });
  const old = await lab.startWorker();
  const first = await submitGated();
  await untilAtGate(first);
  const fresh = await lab.startWorker();
  old.kill('SIGUSR2');
  await lab.until('the old one to drain', async () => (await lab.logs()).includes('worker drains'));
  return { old, fresh, first };
}

test('with a free slot a new worker runs new tasks beside the turns of the old one, which exits with its last turn', async () => {
  const { old, fresh, first } = await deploy(2);
  const { heardAt } = (await stepOf(first.task)) ?? {};
  const second = await submitGated();
  await untilAtGate(second);
  expect(await slotsInUse()).toHaveLength(2);
  await second.open();
  await expectWhole(lab, second.task, { files: FILES });
  expect(await attemptsOf(lab, second.task)).toMatchObject([{ attempt: 1, worker_pid: fresh.pid }]);
  // It is watched, as ever.
  await lab.until(
    'more heartbeats of the old turn',
    async () => ((await stepOf(first.task))?.heardAt ?? 0) > (heardAt ?? 0),
  );
  await first.open();
  await expectWhole(lab, first.task, { files: FILES });
  expect(await attemptsOf(lab, first.task)).toMatchObject([{ attempt: 1, worker_pid: old.pid, error_code: null }]);
  expect(await old.exited).toBe(0);
  expect(await slotsInUse()).toEqual([]);
});

test('without a free slot the new worker waits for the old one, and a waiting task can be cancelled', async () => {
  const { old, fresh, first } = await deploy(1);
  const second = await submitGated();
  expect(await untilWaiting(second.task)).toMatchObject({ worker: fresh.pid });
  const third = await submitGated(); // not before: of two that come together either may be the first
  await lab.cancel(second.task);
  expect(await lab.ended(second.task)).toMatchObject({ state: 'cancelled', worktree_path: null });
  expect(await untilWaiting(third.task)).toMatchObject({ worker: fresh.pid });
  expect(await lab.task(third.task)).toMatchObject({ state: 'pending', worktree_path: null });
  await first.open();
  expect(await old.exited).toBe(0);
  await untilAtGate(third);
  await third.open();
  for (const { task } of [first, third]) await expectWhole(lab, task, { files: FILES });
  expect(await attemptsOf(lab, first.task)).toMatchObject([{ attempt: 1, worker_pid: old.pid, error_code: null }]);
  expect(await attemptsOf(lab, third.task)).toMatchObject([{ attempt: 1, worker_pid: fresh.pid, error_code: null }]);
  expect(await mostAgentsAtOnce()).toBe(1);
});

test('a worker that drains can be stopped: the new worker continues its turn', async () => {
  const { old, fresh, first } = await deploy(2);
  const second = await submitGated();
  await untilAtGate(second);
  old.kill('SIGTERM');
  expect(await old.exited).toBe(0);
  await lab.until('the next attempt', async () => (await attemptsOf(lab, first.task)).length === 2);
  await Promise.all([first.open(), second.open()]);
  for (const { task } of [first, second]) await expectWhole(lab, task, { files: FILES });
  expect(await attemptsOf(lab, first.task)).toMatchObject([{ worker_pid: old.pid }, { worker_pid: fresh.pid }]);
});

test('a task is cancelled in a worker that drains', async () => {
  const { old, first } = await deploy(1);
  await lab.cancel(first.task);
  expect(await lab.ended(first.task)).toMatchObject({ state: 'cancelled' });
  expect(await old.exited).toBe(0);
  expect(await lab.changes(first.task)).toMatchObject([{ partial: true }]);
  expect(await lab.leftovers(first.task)).toEqual([]);
});

test('as long as a worker drains alone, running, waiting and new tasks are cancelled at once; its other turns continue', async () => {
  await openLab({ slots: 2 });
  const old = await lab.startWorker();
  const [working, cancelled] = [await submitGated(), await submitGated()];
  for (const one of [working, cancelled]) await untilAtGate(one);
  const waiting = await submitGated();
  old.kill('SIGUSR2');
  await lab.until('it to drain', async () => (await lab.logs()).includes('worker drains'));
  const late = await submitGated();
  for (const { task } of [waiting, cancelled, late]) {
    await lab.cancel(task);
    expect(await lab.ended(task)).toMatchObject({ state: 'cancelled' });
    expect(await lab.leftovers(task)).toEqual([]);
  }
  expect(await lab.changes(cancelled.task)).toMatchObject([{ partial: true }]);
  // A slot is free, and no task may get it.
  const next = await submitGated();
  await lab.until('its session', async () => (await lab.task(next.task)).session_id !== null);
  expect(await lab.task(working.task)).toMatchObject({ state: 'running', phase: 'working' });
  await working.open();
  expect(await old.exited).toBe(0);
  expect(await attemptsOf(lab, next.task)).toEqual([]);
  await lab.startWorker();
  await untilAtGate(next);
  await next.open();
  for (const { task } of [working, next]) await expectWhole(lab, task, { files: FILES });
  expect(await attemptsOf(lab, working.task)).toMatchObject([{ attempt: 1, worker_pid: old.pid, error_code: null }]);
});

test('a worker that drains alone leaves its tasks to the next worker when their turns have ended', async () => {
  await openLab({ slots: 1 });
  const old = await lab.startWorker();
  const running = await submitGated();
  await untilAtGate(running);
  const queued = await submitGated();
  old.kill('SIGUSR2');
  await lab.until('it to drain', async () => (await lab.logs()).includes('worker drains'));
  await running.open();
  expect(await old.exited).toBe(0);
  expect(await lab.task(queued.task)).toMatchObject({ state: 'pending', worktree_path: null });
  await lab.startWorker();
  await untilAtGate(queued);
  await queued.open();
  for (const { task } of [running, queued]) await expectWhole(lab, task, { files: FILES });
  expect(await attemptsOf(lab, running.task)).toMatchObject([{ attempt: 1, worker_pid: old.pid, error_code: null }]);
});

test('a worker that starts beside another ends none of its processes; if that one is killed it takes over without a restart', async () => {
  await openLab({ slots: 1 });
  const victim = await lab.startWorker();
  const first = await submitGated();
  await untilAtGate(first);
  const agents = findMarked(first.task);
  const survivor = await lab.startWorker();
  const second = await submitGated();
  await untilWaiting(second.task);
  expect(findMarked(first.task)).toEqual(agents);
  expect(await attemptsOf(lab, first.task)).toMatchObject([{ attempt: 1, error_code: null }]);
  expect(await stepOf(first.task)).toMatchObject({ worker: victim.pid });

  victim.kill('SIGKILL');
  await victim.exited;
  await lab.until(
    'the survivor to see it',
    async () => (await attemptsOf(lab, first.task))[0]?.error_code === 'worker_lost',
  );
  // Who waits for the only slot has it first: the dead worker's agent is gone by then.
  await untilAtGate(second);
  expect(await slotsInUse()).toHaveLength(1);
  await second.open();
  await lab.until('an attempt of the survivor', async () => (await attemptsOf(lab, first.task)).length === 2);
  await first.open();
  for (const { task } of [first, second]) await expectWhole(lab, task, { files: FILES });
  expect((await attemptsOf(lab, first.task))[1]).toMatchObject({ worker_pid: survivor.pid });
  expect(await slotsInUse()).toEqual([]);
});

test('a run that an older backend began continues in a newer worker with the commands of its version', async () => {
  await openLab({ slots: 1 });
  const old = await lab.startWorker();
  const gate = lab.gate();
  const input = `write first.txt with first. run cat ${gate.path}. write second.txt with second`;
  const [row] = await lab.sql<{ id: TaskId }[]>`
    INSERT INTO tasks (project_id, input, agent, claimed_at) VALUES (${lab.projectId}, ${input}, 'demo', now()) RETURNING id`;
  const task = row?.id ?? ('' as TaskId);
  // As it was before runs said which commands they issue.
  const run = await lab.client.workflow.start('task', {
    taskQueue: WORKFLOW_QUEUE,
    workflowId: taskWorkflowId(task),
    args: [{ taskId: task, host: 'lab' }],
  });
  await lab.sql`UPDATE tasks SET run_id = ${run.firstExecutionRunId} WHERE id = ${task}`;
  await lab.untilFrame(task, 'the agent waits', isWaiting);
  await lab.startWorker();
  old.kill('SIGUSR2');
  await lab.until('the old one to drain', async () => (await lab.logs()).includes('worker drains'));
  await gate.open();
  expect(await old.exited).toBe(0);
  await expectWhole(lab, task, { files: FILES });
  const { events } = await run.fetchHistory();
  const closedBy = events?.findLast(({ workflowTaskStartedEventAttributes: started }) => started)
    ?.workflowTaskStartedEventAttributes?.identity;
  expect(closedBy).not.toMatch(new RegExp(`^${old.pid}@`));
});
