/**
 * What is left when the machine's state is lost or set back: Temporal's database is deleted, Postgres is restored from
 * an older copy, pids belong to other processes. Nothing hangs, nothing foreign is touched, the work is kept.
 */
import { spawn } from 'node:child_process';
import { readdir } from 'node:fs/promises';
import path from 'node:path';
import { afterEach, expect, test, vi } from 'vitest';
import { checkRuns } from '../../maintenance/doctor/runs.ts';
import { findLeftovers, removeLeftovers } from '../../maintenance/gc/gc.ts';
import { identifyRunning, isAlive, type ProcessIdentity } from '../../processes/identity.ts';
import { readSettings } from '../../services/settings.ts';
import type { TaskId } from '../../contract/ids.ts';
import { taskWorkflowId } from '../../contract/names.ts';
import { backUp } from '../lab/backup.ts';
import { type Lab, startLab } from '../lab/lab.ts';
import { isWaiting, type TaskFacts } from '../lab/observer.ts';
import { hold, until } from '../lab/until.ts';

// Whole machines are killed and started here; the bound only ends what hangs.
vi.setConfig({ testTimeout: 180_000 });

let lab: Lab;
const strangers: ProcessIdentity[] = [];
afterEach(async () => {
  for (const one of strangers.splice(0)) if (isAlive(one)) process.kill(one.pid, 'SIGKILL');
  await lab.close();
});

interface Held {
  readonly task: TaskId;
  readonly goOn: () => Promise<void>;
}

/** A task whose agent has written a file named after it, and waits. */
async function held(name: string): Promise<Held> {
  const gate = lab.gate();
  const task = await lab.submit({ input: `write ${name}.txt with ${name}. run cat ${gate.path}. say done` });
  await lab.untilFrame(task, `${name} waits`, isWaiting);
  return { task, goOn: () => gate.open() };
}

/** One that has its run, and waits for a slot. */
async function queued(input: string): Promise<TaskId> {
  const task = await lab.submit({ input });
  await lab.until('it to wait for a slot', async () => (await lab.statusIfRuns(task))?.step === 'create worktree');
  return task;
}

const doctorSays = async (): Promise<string> => (await checkRuns({ sql: lab.sql, temporal: lab.client })).detail;

/** The task once the backend has compared it with its run, which happens every minute. */
function settledFacts(task: TaskId): Promise<TaskFacts> {
  return lab.until(`the end of ${task}`, async () => {
    await lab.settleLost();
    const facts = await lab.task(task);
    return facts.ended_at !== null && facts;
  });
}

async function runEnded(task: TaskId): Promise<void> {
  await lab.client.workflow
    .getHandle(taskWorkflowId(task))
    .result()
    .catch(() => {});
}

test.each(['while no worker runs', 'under a living worker'])(
  'Temporal’s database deleted %s: running tasks continue, waiting tasks start anew, sessions continue',
  async (when) => {
    lab = await startLab({ slots: 1 });
    const worker = await lab.startWorker();
    const { task, goOn } = await held('kept');
    const waiting = await queued('write queued.txt with queued');
    const sessionId = (await lab.task(task)).session_id ?? '';
    const next = await lab.submit({ input: 'append more to kept.txt', sessionId });
    const unworked = when === 'while no worker runs';
    if (unworked) {
      worker.kill('SIGKILL');
      await worker.exited;
    }
    const nobodyMends = await hold(lab.sql, (tx) => tx`SELECT pg_advisory_xact_lock(4706003)`);
    await lab.loseTemporal();
    expect(await doctorSays()).toMatch(/^2 open tasks have no open run/);
    await nobodyMends.release();
    if (unworked) await lab.startWorker();

    const opened = goOn();
    expect(await settledFacts(task)).toMatchObject({ state: 'completed', error_code: null });
    await opened;
    expect(await lab.changes(task)).toMatchObject([{ partial: false }]);
    expect(await lab.inChange(task, 'kept.txt')).toBe('kept');
    expect(await lab.ended(waiting)).toMatchObject({ state: 'completed' });
    expect(await lab.inChange(waiting, 'queued.txt')).toBe('queued');
    expect(await lab.ended(next)).toMatchObject({ state: 'completed' });
    expect(await lab.inChange(next, 'kept.txt')).toBe('kept\nmore');
    for (const one of [task, waiting, next]) expect(await lab.leftovers(one)).toEqual([]);
    expect(await doctorSays()).toBe('rows and runs agree');
  },
);

test('Postgres restored from an older copy: no task hangs or runs twice, runs without rows end, their work is kept', async () => {
  lab = await startLab();
  const worker = await lab.startWorker();
  const goesOn = await held('goes-on');
  const completed = await held('completed');
  const settled = await held('settled');
  const restore = await backUp(lab.sql);
  // All of this the copy does not know.
  await completed.goOn();
  expect(await lab.ended(completed.task)).toMatchObject({ state: 'completed' });
  await lab.client.workflow.getHandle(taskWorkflowId(settled.task)).terminate();
  await settledFacts(settled.task);
  const rowless = await held('rowless');
  worker.kill('SIGKILL');
  await worker.exited;
  await restore();

  await lab.startWorker();
  await runEnded(rowless.task);
  expect(await lab.inChange(rowless.task, 'rowless.txt')).toBe('rowless');
  expect(await settledFacts(completed.task)).toMatchObject({
    state: 'failed',
    error_code: 'terminated',
    output_summary: expect.stringContaining(`restored from an older copy. What the task had changed, if anything, is refs/longhaul/tasks/${completed.task}`) as string, // prettier-ignore
  });
  expect(await lab.inChange(completed.task, 'completed.txt')).toBe('completed');
  expect(await settledFacts(settled.task)).toMatchObject({ state: 'failed', error_code: 'terminated' });
  await goesOn.goOn();
  expect(await lab.ended(goesOn.task)).toMatchObject({ state: 'completed' });
  expect(await lab.inChange(goesOn.task, 'goes-on.txt')).toBe('goes-on');
  for (const { task } of [goesOn, completed, settled]) expect(await lab.leftovers(task)).toEqual([]);
  expect(await readdir(path.join(lab.home, 'worktrees'))).toEqual([]);
  expect(await doctorSays()).toBe('rows and runs agree');
});

test('a run without a row, while no worker ends it, is named by doctor', async () => {
  lab = await startLab();
  const worker = await lab.startWorker();
  const { task } = await held('kept');
  worker.kill('SIGKILL');
  await worker.exited;
  await lab.sql`DELETE FROM tasks WHERE id = ${task}`;
  await until('the list of runs to have it', async () => (await doctorSays()).startsWith('1 run in Temporal of tasks'));
  await lab.startWorker();
  await runEnded(task);
  expect(await doctorSays()).toBe('rows and runs agree');
  expect(await readdir(path.join(lab.home, 'worktrees'))).toEqual([]);
});

/** A process that is not ours. */
async function stranger(): Promise<ProcessIdentity> {
  const child = spawn('sleep', ['600'], { detached: true, stdio: 'ignore' });
  child.unref();
  const identity = await until('a stranger', () => identifyRunning(child.pid ?? 0));
  strangers.push(identity);
  return identity;
}

test.each([
  ['with another start time', (who: ProcessIdentity) => ({ ...who, startTime: `${Number(who.startTime) - 1}` })],
  ['before a reboot', (who: ProcessIdentity) => ({ ...who, bootId: '00000000-0000-0000-0000-000000000000' })],
])('a pid that rows name %s and that now belongs to another process is never signalled', async (_when, asRecorded) => {
  lab = await startLab();
  const [agent, dead] = [asRecorded(await stranger()), asRecorded(await stranger())];
  const worker = await lab.startWorker();
  const { task, goOn } = await held('kept');
  worker.kill('SIGKILL');
  await worker.exited;
  await lab.sql`
    UPDATE attempts SET pid = ${agent.pid}, pid_start = ${agent.startTime}, boot_id = ${agent.bootId},
                        worker_pid = ${dead.pid}, worker_start = ${dead.startTime} WHERE task_id = ${task}`;
  await lab.startWorker();
  const [first] = await lab.sql`SELECT error_code, ended_at FROM attempts WHERE task_id = ${task} AND attempt = 1`;
  expect(first).toMatchObject({ error_code: 'worker_lost', ended_at: expect.any(Date) as Date });
  await goOn();
  expect(await lab.ended(task)).toMatchObject({ state: 'completed' });
  expect(await lab.leftovers(task)).toEqual([]);
  const settings = readSettings({ LONGHAUL_HOME: lab.home, LONGHAUL_CACHE: path.join(lab.home, 'cache'), LONGHAUL_HOST_NAME: 'lab' }); // prettier-ignore
  const { leftovers } = await findLeftovers(settings, { sql: lab.sql, temporal: lab.client, host: 'lab' }, { removeKept: true }); // prettier-ignore
  for await (const item of removeLeftovers(leftovers)) expect(item.kind).not.toBe('process');
  expect(strangers.map((one) => isAlive(one))).toEqual([true, true]);
});
