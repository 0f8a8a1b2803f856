/** A worktree whose folder was removed or replaced while its task was at work is never taken for what the agent left. */
import { readdir } from 'node:fs/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Lab, startLab } from '../lab/lab.ts';

let lab: Lab;
beforeAll(async () => {
  lab = await startLab({ slots: 1 });
  await lab.startWorker();
});
afterAll(() => lab.close());

test('replaced in mid-turn: the task fails and says so, nothing is collected or deleted, the next task of the session works', async () => {
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

test('removed in mid-turn: the task fails and says so, the next task of the session works', async () => {
  const task = await lab.submit({ input: 'run sh -c "d=$PWD; cd /; rm -rf $d". say done.' });
  const ended = await lab.ended(task);
  expect(ended).toMatchObject({ state: 'failed', error_code: 'worktree_replaced', kept_worktree: null });
  expect(ended.output_summary).toContain('was removed while the task was at work');
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
