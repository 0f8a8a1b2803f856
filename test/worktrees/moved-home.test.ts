import { cp, mkdir, readdir, rename, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { expect, test } from 'vitest';
import { moveWorktrees } from '../../worktrees/moved-home.ts';
import { listRecords } from '../../worktrees/records.ts';
import { makeWorktrees } from '../../worktrees/worktrees.ts';
import { gitIn, treeOf } from '../lab/repositories.ts';
import { agentTree, openLab } from './lab.ts';

/** A worktree with an agent's work in it, in a home that `move` has taken elsewhere. */
async function movedHome(move: (from: string, to: string) => Promise<unknown>) {
  const lab = await openLab();
  const tree = await lab.create();
  await tree.write({ 'new.txt': 'new\n' });
  const [from, to] = [path.join(lab.root, 'home'), path.join(lab.root, 'other', 'place')];
  await mkdir(path.dirname(to));
  await move(from, to);
  const locksDir = path.join(to, 'locks');
  const worktrees = makeWorktrees({ locksDir, root: path.join(to, 'worktrees') });
  const worktreePath = path.join(to, path.relative(from, tree.worktreePath));
  const moved = agentTree(worktrees, lab.repository.path, { ...tree, worktreePath });
  return { lab, from, to, tree, moved, locksDir, worktrees };
}

test('a home that was moved: the work is in the change, and nothing is left at the former path', async () => {
  const { lab, from, to, tree, moved, locksDir } = await movedHome(rename);
  const mirror = path.join(to, path.relative(from, lab.mirror));

  await moveWorktrees({ locksDir, from, to });
  await moveWorktrees({ locksDir, from, to });
  expect(await listRecords(locksDir)).toMatchObject([{ worktreePath: moved.worktreePath }]);
  expect(await gitIn(moved.worktreePath, 'status', '--porcelain')).toBe('?? new.txt');
  expect((await moved.change()).files).toMatchObject([{ path: 'new.txt' }]);
  expect(await moved.remove()).toEqual({ removed: true });
  const listed = await gitIn(mirror, 'worktree', 'list', '--porcelain');
  for (const folder of [tree.worktreePath, moved.worktreePath]) expect(listed).not.toContain(folder);
  expect(await readdir(lab.root)).not.toContain('home');
});

test('killed between two records and within one, the next run changes the rest', async () => {
  const { from, to, tree, moved, locksDir, lab } = await movedHome(rename);
  const mirror = path.join(to, path.relative(from, lab.mirror));
  const gitdir = path.join(mirror, 'worktrees', path.basename(tree.worktreePath), 'gitdir');
  await writeFile(gitdir, `${moved.file('.git')}\n`); // the record is not written yet
  await moveWorktrees({ locksDir, from, to });
  expect((await moved.change()).files).toMatchObject([{ path: 'new.txt' }]);
});

test('moved to another file system: nothing is collected or changed, and the message says where the work is', async () => {
  const { from, to, moved, locksDir } = await movedHome(async (from, to) => {
    await cp(from, to, { recursive: true, verbatimSymlinks: true });
    await rm(from, { recursive: true });
  });
  await moveWorktrees({ locksDir, from, to });
  const before = await treeOf(moved.worktreePath);
  const sentence = expect.stringContaining(`git -C ${moved.worktreePath} status`) as string;
  expect(await moved.collect()).toEqual({ kind: 'kept', reason: sentence, replaced: true });
  await expect(moved.reset()).rejects.toMatchObject({ code: 'worktree_replaced', message: sentence });
  expect(await treeOf(moved.worktreePath)).toEqual(before);
  expect(await gitIn(moved.worktreePath, 'status', '--porcelain')).toBe('?? new.txt');
});

test('files that are now at the former path are not touched', async () => {
  const { from, to, tree, locksDir } = await movedHome(rename);
  await mkdir(tree.worktreePath, { recursive: true });
  await moveWorktrees({ locksDir, from, to });
  expect(await readdir(tree.worktreePath)).toEqual([]);
  expect(await listRecords(locksDir)).toMatchObject([{ worktreePath: tree.worktreePath }]);
});
