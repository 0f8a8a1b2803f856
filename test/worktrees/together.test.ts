import { readdir } from 'node:fs/promises';
import path from 'node:path';
import { expect, test } from 'vitest';
import { gitIn } from '../lab/repositories.ts';
import { openLab } from './lab.ts';

const TASKS = Array.from({ length: 20 }, (_, at) => `task-${at}`);

test('20 concurrent tasks on one repository: 20 results, and the checkout byte for byte as before', async () => {
  const lab = await openLab();
  await lab.repository.write({ 'README.md': 'the user is editing\n', 'notes.txt': 'not committed\n' });
  await lab.repository.git('add', 'notes.txt');
  const before = await lab.repository.fingerprint();
  const results = await Promise.all(
    TASKS.map(async (name) => {
      const tree = await lab.create(name);
      await tree.write({ [`${name}.txt`]: `${name}\n` });
      const change = await tree.change();
      expect(await tree.remove()).toEqual({ removed: true });
      return change.files.map((file) => file.path);
    }),
  );
  expect(results).toEqual(TASKS.map((name) => [`${name}.txt`]));
  expect(await lab.repository.fingerprint()).toEqual(before);
  expect((await lab.inMirror('for-each-ref', 'refs/longhaul/tasks')).split('\n')).toHaveLength(20);
  expect(await readdir(path.join(lab.root, 'home', 'worktrees'))).toEqual([]);
  expect(await readdir(lab.locksDir)).toEqual([]);
});

test('20 concurrent tasks while the user commits, packs refs and collects garbage', async () => {
  const lab = await openLab();
  const { path: project } = lab.repository;
  const over = new AbortController();
  const user = async (...steps: string[][]): Promise<number> => {
    let rounds = 0;
    for (; !over.signal.aborted; rounds += 1) {
      for (const step of steps) await gitIn(project, ...step);
    }
    return rounds;
  };
  const users = Promise.all([
    user(
      ['commit', '--quiet', '--allow-empty', '--message', 'By the user'],
      ['pack-refs', '--all'],
      ['gc', '--quiet'],
      // Looks at the HEAD of every worktree, as gc does. Beside a gc it fails by itself when a pack goes.
      ['prune', '--dry-run'],
    ),
    user(['config', 'user.test', 'x'], ['config', '--unset', 'user.test']),
  ]);
  const commits = await Promise.all(
    TASKS.map(async (name) => {
      const tree = await lab.create(name);
      await tree.write({ [`${name}.txt`]: `${name}\n` });
      const { commit } = await tree.change();
      await tree.remove();
      return commit;
    }),
  ).finally(() => over.abort());
  expect(Math.min(...(await users)), 'rounds of each of the user').toBeGreaterThan(0);
  for (const folder of [project, lab.mirror]) await gitIn(folder, 'fsck', '--full', '--strict');
  for (const [at, commit] of commits.entries()) {
    expect(await lab.inMirror('rev-parse', `refs/longhaul/tasks/${TASKS[at] ?? ''}`)).toBe(commit);
  }
  expect(await readdir(path.join(project, '.git'))).not.toContain('worktrees');
  expect(await gitIn(project, 'status', '--porcelain')).toBe('');
});
