/**
 * The Temporal server is gone for 20 s, and for longer than a heartbeat may be missing (60 s). Turns live in the worker:
 * they continue, end meanwhile, and are cancelled once the server is available again.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, onTestFinished, test } from 'vitest';
import type { TaskId } from '../../contract/ids.ts';
import { type Lab, startLab } from '../lab/lab.ts';
import { isWaiting } from '../lab/observer.ts';
import { attemptsOf, expectWhole } from '../lab/whole.ts';

const FILES = { 'first.txt': 'first', 'second.txt': 'second' };
const WORDS = Array.from({ length: 100 }, (_, number) => `word${number}`);

/** Waits at a gate, with one file written. */
async function held(lab: Lab): Promise<{ task: TaskId; gate: ReturnType<Lab['gate']> }> {
  const gate = lab.gate();
  const task = await lab.submit({
    input: `write first.txt with first. run cat ${gate.path}. say ${WORDS.join(' ')}. write second.txt with second`,
  });
  await lab.untilFrame(task, 'the agent waits', isWaiting);
  return { task, gate };
}

async function expectOneAgent(lab: Lab, task: TaskId): Promise<void> {
  const attempts = await attemptsOf(lab, task);
  expect(new Set(attempts.map(({ pid }) => pid)).size).toBe(1);
  expect(attempts.map(({ error_code }) => error_code)).toEqual(attempts.map(() => null));
}

const outcomes = (lab: Lab, task: TaskId) =>
  lab.sql`SELECT FROM attempts WHERE task_id = ${task} AND outcome IS NOT NULL`;

interface Outage {
  readonly lab: Lab;
  readonly awayMs: number;
  /** While the server is gone. */
  readonly meanwhile: () => Promise<void>;
}

async function without({ lab, awayMs, meanwhile }: Outage): Promise<void> {
  lab.killTemporal();
  await lab.temporal.exited;
  const back = sleep(awayMs); // the length of the outage
  await meanwhile();
  await back;
  await lab.reviveTemporal();
}

async function labWithWorker(): Promise<Lab> {
  const lab = await startLab({ slots: 8 });
  onTestFinished(() => lab.close());
  await lab.startWorker();
  return lab;
}

test.concurrent('for 20 s: the agents continue in their first attempts, and readers get their output', async () => {
  const lab = await labWithWorker();
  const before = await lab.repository.fingerprint();
  const streaming = await lab.submit({
    input: `write first.txt with first. slowly over 40 seconds. say ${WORDS.join(' ')}. write second.txt with second`,
  });
  const waiting = await held(lab);
  await lab.untilFrame(streaming, 'its words', (frame) => frame.type === 'delta');
  await without({
    lab,
    awayMs: 20_000,
    meanwhile: async () => {
      const seen = (await lab.frames(streaming)).length;
      await lab.until('more words', async () => (await lab.frames(streaming)).length > seen + 5);
    },
  });
  await waiting.gate.open();

  for (const task of [streaming, waiting.task]) {
    await lab.ended(task);
    expect(await attemptsOf(lab, task)).toMatchObject([{ attempt: 1, error_code: null }]);
  }
  for (const task of [streaming, waiting.task]) await expectWhole(lab, task, { files: FILES });
  expect(await lab.repository.fingerprint()).toEqual(before);
});

test.concurrent(
  'for 100 s: afterwards turns are adopted, results found, cancels carried out, rows started',
  async () => {
    const lab = await labWithWorker();
    const before = await lab.repository.fingerprint();
    const [goesOn, endsMeanwhile, unwanted] = [await held(lab), await held(lab), await held(lab)];
    let late: TaskId | undefined;
    let goneBeforeStart: TaskId | undefined;
    await without({
      lab,
      awayMs: 100_000,
      meanwhile: async () => {
        await endsMeanwhile.gate.open();
        await lab.until('the result in the store', async () => (await outcomes(lab, endsMeanwhile.task)).length === 1);
        expect(await lab.cancel(unwanted.task)).toEqual({ kind: 'recorded' });
        late = await lab.submit({ input: 'write first.txt with first. write second.txt with second' });
        goneBeforeStart = await lab.submit({ input: 'write first.txt with first' });
        await lab.cancel(goneBeforeStart);
      },
    });
    await lab.ended(unwanted.task);
    await lab.ended(endsMeanwhile.task);
    await goesOn.gate.open();

    const whole = [goesOn.task, endsMeanwhile.task, late].filter((task) => task !== undefined);
    for (const task of whole) await lab.ended(task);
    for (const task of whole) await expectWhole(lab, task, { files: FILES });
    await expectWhole(lab, unwanted.task, { files: { 'first.txt': 'first' }, state: 'cancelled' });
    for (const { task } of [goesOn, endsMeanwhile, unwanted]) await expectOneAgent(lab, task);
    expect(await outcomes(lab, endsMeanwhile.task)).toHaveLength(1);
    if (goneBeforeStart)
      expect(await lab.task(goneBeforeStart)).toMatchObject({ state: 'cancelled', session_id: null });
    expect(await lab.repository.fingerprint()).toEqual(before);
  },
);
