/**
 * Postgres refuses connections for 30 s: to worker and intake, in every step of some task. Agents continue and their
 * output wait; nothing is counted as a failure; what was handed over starts when it is back.
 */
import { existsSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { cancel } from '../../client/cancel.ts';
import { connect } from '../../store/sql.ts';
import type { TaskId } from '../../contract/ids.ts';
import { heldGit, type HeldGit } from '../lab/held-git.ts';
import { type Lab, startLab } from '../lab/lab.ts';
import { isWaiting } from '../lab/observer.ts';
import { hold } from '../lab/until.ts';
import { attemptsOf, expectWhole } from '../lab/whole.ts';

const AWAY_MS = 30_000;
const FILES = { 'first.txt': 'first', 'second.txt': 'second' };
const SHORT = 'write first.txt with first. write second.txt with second';

let lab: Lab;
let git: HeldGit;
beforeAll(async () => {
  lab = await startLab({ slots: 3, proxied: true });
  git = await heldGit(`${lab.home}/held-git`);
  await lab.startWorker(git.env);
});
afterAll(() => lab.close());

async function inWorktree(task: TaskId, file: string): Promise<boolean> {
  const { worktree_path } = await lab.task(task);
  return existsSync(path.join(worktree_path ?? '', file));
}

test('in mid-turn, in the closing steps, queued, while a session is opened', async () => {
  const before = await lab.repository.fingerprint();
  const unwantedGate = lab.gate();
  const endsGate = lab.gate();

  await git.hold('write-tree');
  const closing = await lab.submit({ input: SHORT });
  await lab.until('git to wait', async () => git.holds());

  const words = Array.from({ length: 100 }, (_, number) => `word${number}`).join(' ');
  const streaming = await lab.submit({
    input: `write first.txt with first. slowly over 45 seconds. say ${words}. write second.txt with second`,
  });
  const ends = await lab.submit({
    input: `write first.txt with first. run cat ${endsGate.path}. write second.txt with second. say it is done`,
  });
  const unwanted = await lab.submit({ input: `write first.txt with first. run cat ${unwantedGate.path}` });
  await lab.untilFrame(streaming, 'its words', (frame) => frame.type === 'delta');
  for (const task of [ends, unwanted]) await lab.untilFrame(task, 'the agent waits', isWaiting);
  const queued = await lab.submit({ input: SHORT });
  await lab.until('it to be opened', async () => (await lab.task(queued)).session_id !== null);
  const lock = await hold(lab.sql, (tx) => tx`LOCK TABLE chats IN ACCESS EXCLUSIVE MODE`);
  const opening = await lab.submit({ input: SHORT });
  await lab.until('its first step', async () => (await lab.statusIfRuns(opening))?.step === 'open session');

  await lab.proxy.refuse();
  const back = sleep(AWAY_MS); // the length of the outage
  await lock.release();
  await git.release();
  await endsGate.open();
  const handedOver = await lab.submit({ input: SHORT });
  const through = connect(lab.proxy.url, { max: 1 });
  await expect(cancel({ sql: through, temporal: lab.client }, unwanted)).rejects.toMatchObject({
    code: 'ECONNREFUSED',
  });
  await through.end({ timeout: 1 });
  await lab.until('the agent to continue', () => inWorktree(ends, 'second.txt'));
  await back;
  expect((await lab.task(handedOver)).run_id).toBeNull();
  await lab.proxy.accept();
  await lab.cancel(unwanted);

  const whole = [closing, streaming, ends, queued, opening, handedOver];
  for (const task of [...whole, unwanted]) await lab.ended(task);
  for (const task of whole) await expectWhole(lab, task, { files: FILES });
  await expectWhole(lab, unwanted, { files: { 'first.txt': 'first' }, state: 'cancelled' });
  // Not counted, and the turns that ran are the first ones.
  const codes = await lab.sql`SELECT DISTINCT error_code FROM attempts WHERE error_code IS NOT NULL`;
  expect(codes).toEqual([]);
  for (const task of [closing, streaming, ends, unwanted]) expect(await attemptsOf(lab, task)).toHaveLength(1);
  expect(await lab.repository.fingerprint()).toEqual(before);
});
