/** What an agent wrote is in a commit before its worktree goes. If it cannot be stored, the worktree stays. */
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { heldGit, type HeldGit } from '../lab/held-git.ts';
import { type Lab, startLab } from '../lab/lab.ts';

let lab: Lab;
let git: HeldGit;
beforeAll(async () => {
  lab = await startLab({ slots: 1 });
  git = await heldGit(path.join(lab.home, 'held-git'));
  await lab.startWorker(git.env);
});
afterAll(() => lab.close());

test('git fails for good when the work is to be stored: the worktree stays and is named, the next task is not held up', async () => {
  await git.fail('write-tree');
  const task = await lab.submit({ input: 'write precious.txt with precious' });
  const ended = await lab.ended(task);
  await git.release();
  const { worktree_path: worktree } = ended;
  expect(ended).toMatchObject({ state: 'completed', kept_worktree: worktree });
  expect(ended.output_summary).toContain(`The worktree was kept at ${worktree}`);
  expect(await readFile(path.join(worktree ?? '', 'precious.txt'), 'utf8')).toBe('precious\n');
  expect(await lab.changes(task)).toEqual([]);

  const next = await lab.submit({ input: 'write more.txt with more', sessionId: ended.session_id ?? '' });
  expect(await lab.ended(next)).toMatchObject({ state: 'completed', kept_worktree: null });
  expect(await lab.inChange(next, 'more.txt')).toBe('more');
});
