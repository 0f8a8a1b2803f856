/** The run is terminated in the Web UI, in each phase, with the worker alive or dead: the closing steps run all the same. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { TaskId } from '../../contract/ids.ts';
import { settleWorkflowId, taskWorkflowId } from '../../contract/names.ts';
import { heldGit, type HeldGit } from '../lab/held-git.ts';
import { type Lab, type LabWorker, startLab } from '../lab/lab.ts';
import { isWaiting } from '../lab/observer.ts';
import { type Hold, hold } from '../lab/until.ts';
import { expectWhole } from '../lab/whole.ts';

let lab: Lab;
let git: HeldGit;
let worker: LabWorker;
let before: Record<string, string>;
beforeAll(async () => {
  lab = await startLab({ slots: 1 });
  git = await heldGit(`${lab.home}/held-git`);
  worker = await lab.startWorker(git.env);
  before = await lab.repository.fingerprint();
});
afterAll(() => lab.close());

interface InPhase {
  readonly task: TaskId;
  /** Lets go what holds the task there. */
  readonly release: () => Promise<void>;
}

const SHORT = 'write first.txt with first';

async function queued(): Promise<InPhase> {
  const gate = lab.gate();
  const first = await lab.submit({ input: `run cat ${gate.path}` });
  await lab.untilFrame(first, 'the agent waits', isWaiting);
  const task = await lab.submit({ input: SHORT });
  await lab.until('it to be opened', async () => (await lab.task(task)).session_id !== null);
  const release = async (): Promise<void> => {
    await gate.open();
    await lab.ended(first);
  };
  return { task, release };
}

async function inGit(words: string): Promise<InPhase> {
  await git.hold(words);
  const task = await lab.submit({ input: SHORT });
  await lab.until('git to wait', async () => git.holds());
  return { task, release: () => git.release() };
}

async function working(): Promise<InPhase> {
  const task = await lab.submit({ input: `${SHORT}. run sleep 600` });
  await lab.untilFrame(task, 'the agent is at work', isWaiting);
  return { task, release: async () => {} };
}

/** The diff is held first, so that the lock is there before the step that it is for. */
async function atTable(table: string, step: string): Promise<InPhase> {
  const { task, release } = await inGit('write-tree');
  const held: Hold = await hold(lab.sql, (tx) => tx.unsafe(`LOCK TABLE ${table} IN EXCLUSIVE MODE`));
  await release();
  await lab.until(`the step ${step}`, async () => (await lab.statusIfRuns(task))?.step === step);
  return { task, release: () => held.release() };
}

const WORK = { 'first.txt': 'first' };

test.each([
  ['queued', queued, {}, false, [false, true]],
  ['create worktree', () => inGit('reset'), {}, false, [false, true]],
  ['working', working, WORK, false, [false, true]],
  ['diff worktree', () => inGit('write-tree'), WORK, true, [false, true]],
  ['queue change', () => atTable('pending_changes', 'queue change'), WORK, true, [false]],
  ['finish', () => atTable('messages', 'finish'), WORK, true, [false]],
])('%s', async (phase, reach, files, turnEnded, workerKilled) => {
  for (const killed of workerKilled) {
    const { task, release } = await reach();
    await lab.client.workflow.getHandle(taskWorkflowId(task)).terminate('test');
    if (killed) {
      worker.kill('SIGKILL');
      await worker.exited;
    }
    await lab.settleLost();
    if (killed) worker = await lab.startWorker(git.env);
    await release();
    await lab.client.workflow.getHandle(settleWorkflowId(task)).result();

    const { state } = await lab.ended(task);
    // The step that was under way may have come to its end before its run was known to be gone.
    const end = state === 'completed' ? {} : { state: 'failed' as const, code: 'terminated' };
    if (state === 'completed') expect(phase).toBe('finish');
    await expectWhole(lab, task, { files, turnEnded, runLost: true, ...end });
    expect(await lab.repository.fingerprint()).toEqual(before);
  }
});
