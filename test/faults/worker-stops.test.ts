/** The worker gets SIGTERM with tasks in several steps, and is killed before it has exited. */
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { TaskId } from '../../contract/ids.ts';
import { heldGit, type HeldGit } from '../lab/held-git.ts';
import { type Lab, startLab } from '../lab/lab.ts';
import { isWaiting } from '../lab/observer.ts';
import { expectWhole } from '../lab/whole.ts';

const FILES = { 'first.txt': 'first', 'second.txt': 'second' };
const SHORT = 'write first.txt with first. write second.txt with second';

let lab: Lab;
let git: HeldGit;
beforeEach(async () => {
  lab = await startLab({ slots: 2 });
  git = await heldGit(`${lab.home}/held-git`);
});
afterEach(() => lab.close());

/** One whose work is being collected, one that streams, one that waits for a tool, one that waits for a slot. */
async function busy(): Promise<{ tasks: TaskId[]; goOn: () => Promise<void> }> {
  await git.hold('write-tree');
  const closing = await lab.submit({ input: SHORT });
  await lab.until('git to wait', async () => git.holds());
  const gate = lab.gate();
  const words = Array.from({ length: 60 }, (_, number) => `word${number}`).join(' ');
  const streaming = await lab.submit({
    input: `write first.txt with first. slowly over 6 seconds. say ${words}. write second.txt with second`,
  });
  const waiting = await lab.submit({
    input: `write first.txt with first. run cat ${gate.path}. write second.txt with second`,
  });
  await lab.untilFrame(streaming, 'its words', (frame) => frame.type === 'delta');
  await lab.untilFrame(waiting, 'the agent waits', isWaiting);
  const queued = await lab.submit({ input: SHORT });
  await lab.until('it to be opened', async () => (await lab.task(queued)).session_id !== null);
  return { tasks: [closing, streaming, waiting, queued], goOn: () => gate.open() };
}

test.each([
  ['stopped', undefined],
  ['stopped and killed a second later', 1_000],
])('%s: the next worker continues the tasks, and none is cancelled', async (_title, killAfterMs) => {
  const before = await lab.repository.fingerprint();
  const worker = await lab.startWorker(git.env);
  const { tasks, goOn } = await busy();
  worker.kill('SIGTERM');
  if (killAfterMs !== undefined) {
    await sleep(killAfterMs); // a moment within the stop
    worker.kill('SIGKILL');
  }
  expect(await worker.exited).toBe(killAfterMs === undefined ? 0 : 'SIGKILL');
  for (const task of tasks) expect(['pending', 'running']).toContain((await lab.task(task)).state);
  await git.release();
  await lab.startWorker(git.env);
  await goOn();

  for (const task of tasks) await lab.ended(task);
  for (const task of tasks) await expectWhole(lab, task, { files: FILES });
  // None of it was the agents' fault.
  const codes = await lab.sql`SELECT DISTINCT error_code FROM attempts WHERE error_code <> 'worker_lost'`;
  expect(codes).toEqual([]);
  expect(await lab.repository.fingerprint()).toEqual(before);
});
