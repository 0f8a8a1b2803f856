/** A worktree whose folder was removed or replaced while its task was at work is never taken for what the agent left. */
import { readdir, rm } from 'node:fs/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { holdStatement } from '../lab/holds.ts';
import { type Lab, type LabWorker, startLab } from '../lab/lab.ts';
import { isWaiting } from '../lab/observer.ts';

let lab: Lab;
let worker: LabWorker;
beforeAll(async () => {
  lab = await startLab({ slots: 1 });
  worker = await lab.startWorker();
});
afterAll(() => lab.close());

test('replaced in mid-turn: the task fails with worktree_replaced, nothing is collected or deleted, the next task of the session completes', async () => {
  const task = await lab.submit({
    input:
      'write precious.txt with x. run sh -c "d=$PWD; cd /; rm -rf $d; mkdir $d; echo late > $d/late.txt". say done.',
  });
  const ended = await lab.ended(task);
  const { worktree_path: worktree } = ended;
  expect(ended).toMatchObject({ state: 'failed', error_code: 'worktree_replaced', kept_worktree: worktree });
  expect(ended.output_summary).toContain('another one is in its place');
  expect(await lab.changes(task)).toEqual([]);
  expect(await readdir(worktree ?? '')).toEqual(['late.txt']);

  const next = await lab.submit({ input: 'write more.txt with more', sessionId: ended.session_id ?? '' });
  expect(await lab.ended(next)).toMatchObject({ state: 'completed', kept_worktree: null });
  expect(await lab.inChange(next, 'more.txt')).toBe('more');
});

test('removed in mid-turn: the task fails with worktree_replaced, the next task of the session completes', async () => {
  const task = await lab.submit({ input: 'run sh -c "d=$PWD; cd /; rm -rf $d". say done.' });
  const ended = await lab.ended(task);
  expect(ended).toMatchObject({ state: 'failed', error_code: 'worktree_replaced', kept_worktree: null });
  expect(ended.output_summary).toContain('was removed while the task was running');
  expect(await lab.changes(task)).toEqual([]);

  const next = await lab.submit({ input: 'write more.txt with more', sessionId: ended.session_id ?? '' });
  expect(await lab.ended(next)).toMatchObject({ state: 'completed', kept_worktree: null });
  expect(await lab.inChange(next, 'more.txt')).toBe('more');
});

test('replaced before an attempt that follows a crash: no agent starts in it', async () => {
  const task = await lab.submit({
    input: 'run sh -c "d=$PWD; cd /; rm -rf $d; mkdir $d; echo late > $d/late.txt". crash.',
  });
  const ended = await lab.ended(task);
  expect(ended).toMatchObject({ state: 'failed', error_code: 'worktree_replaced' });
  expect(await readdir(ended.worktree_path ?? '')).toEqual(['late.txt']);
});

test.each(['and its run is known', 'and its run is lost', 'and its attempt is of an earlier version'])(
  "removed while no worker runs, %s: the turn starts over with a reason, and its change contains all of the agent's edits",
  async (what) => {
    const gate = lab.gate();
    const task = await lab.submit({
      input: `write first.txt with first. run cat ${gate.path}. write second.txt with second. say done`,
    });
    await lab.untilFrame(task, 'the agent waits', isWaiting);
    worker.kill('SIGKILL');
    await worker.exited;
    await rm((await lab.task(task)).worktree_path ?? '', { recursive: true });
    if (what.endsWith('version')) await lab.sql`UPDATE attempts SET worktree = NULL WHERE task_id = ${task}`;
    if (what.endsWith('lost')) await lab.loseTemporal();
    worker = await lab.startWorker();
    const opened = gate.open();
    const ended = await lab.until('its end', async () => {
      if (what.endsWith('lost')) await lab.settleLost();
      const facts = await lab.task(task);
      return facts.ended_at !== null && facts;
    });
    await opened;
    expect(ended).toMatchObject({ state: 'completed', error_code: null });
    const resets = (await lab.frames(task)).filter(({ type }) => type === 'message_reset');
    expect(resets.map(({ body }) => body)).toMatchObject([
      { reason: expect.stringContaining('was removed') as string },
    ]);
    expect(await lab.inChange(task, 'first.txt')).toBe('first');
    expect(await lab.inChange(task, 'second.txt')).toBe('second');
  },
);

test('removed before the first attempt: the worktree is created again, and the task completes', async () => {
  const held = await holdStatement(lab.databaseUrl, { on: 'attempts', event: 'INSERT' });
  const task = await lab.submit({ input: 'write first.txt with first. say done' });
  await lab.until('the dispatch step', async () => (await held.waiting()) > 0);
  const { worktree_path: worktree } = await lab.task(task);
  await rm(worktree ?? '', { recursive: true });
  await held.release();
  expect(await lab.ended(task)).toMatchObject({ state: 'completed', error_code: null, kept_worktree: null });
  expect(await lab.inChange(task, 'first.txt')).toBe('first');
});

test('removed after the agent has finished and before its files are collected, its run lost: the turn starts over', async () => {
  const held = await holdStatement(lab.databaseUrl, {
    on: 'tasks',
    event: 'UPDATE',
    when: "NEW.phase = 'collecting'",
  });
  const task = await lab.submit({ input: 'write first.txt with first. say done' });
  await lab.until('the collecting step', async () => (await held.waiting()) > 0);
  worker.kill('SIGKILL');
  await worker.exited;
  await rm((await lab.task(task)).worktree_path ?? '', { recursive: true });
  await lab.loseTemporal();
  await held.release();
  worker = await lab.startWorker();
  const ended = await lab.until('its end', async () => {
    await lab.settleLost();
    const facts = await lab.task(task);
    return facts.ended_at !== null && facts;
  });
  expect(ended).toMatchObject({ state: 'completed', error_code: null, kept_worktree: null });
  const resets = (await lab.frames(task)).filter(({ type }) => type === 'message_reset');
  expect(resets.map(({ body }) => body)).toMatchObject([{ reason: expect.stringContaining('was removed') as string }]);
  expect(await lab.inChange(task, 'first.txt')).toBe('first');
});
