import { cp, mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
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
  const inside = path.join(moved.worktreePath, 'inside'); // a worktree that the agent made
  const entry = await readFile(moved.file('.git'), 'utf8');
  await gitIn(moved.worktreePath, 'worktree', 'add', '--quiet', '--detach', inside);
  const insideEntry = path.join(lab.repository.path, '.git', 'worktrees', 'inside', 'gitdir');
  await writeFile(insideEntry, `${path.join(tree.worktreePath, 'inside', '.git')}\n`);

  await moveWorktrees({ locksDir, from, to });
  await moveWorktrees({ locksDir, from, to });
  expect(await listRecords(locksDir)).toMatchObject([{ worktreePath: moved.worktreePath }]);
  expect(await readFile(insideEntry, 'utf8')).toBe(`${path.join(inside, '.git')}\n`);
  expect(await readFile(moved.file('.git'), 'utf8')).toBe(entry);
  await gitIn(moved.worktreePath, 'worktree', 'remove', '--force', inside);
  expect((await moved.change()).files).toMatchObject([{ path: 'new.txt' }]);
  expect(await moved.remove()).toEqual({ removed: true });
  expect(await lab.repository.git('worktree', 'list', '--porcelain')).not.toContain(lab.root + '/other');
  expect(await lab.repository.git('worktree', 'list', '--porcelain')).not.toContain(from);
  expect(await readdir(lab.root)).not.toContain('home');
});

test('killed between two records and within one, the next run changes the rest', async () => {
  const { from, to, tree, moved, locksDir, lab } = await movedHome(rename);
  const gitdir = path.join(lab.repository.path, '.git', 'worktrees', path.basename(tree.worktreePath), 'gitdir');
  await writeFile(gitdir, `${moved.file('.git')}\n`); // the record is not written yet
  await moveWorktrees({ locksDir, from, to });
  expect((await moved.change()).files).toMatchObject([{ path: 'new.txt' }]);
});

test('relative links of git lead to the worktree after the move', async () => {
  const { from, to, tree, moved, locksDir } = await movedHome(rename);
  const adminDir = (await readFile(moved.file('.git'), 'utf8')).slice('gitdir: '.length).trimEnd();
  await writeFile(path.join(adminDir, 'gitdir'), `${path.relative(adminDir, tree.file('.git'))}\n`);
  await writeFile(moved.file('.git'), `gitdir: ${path.relative(tree.worktreePath, adminDir)}\n`);
  await moveWorktrees({ locksDir, from, to });
  expect(await gitIn(moved.worktreePath, 'status', '--porcelain')).toBe('?? new.txt');
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
