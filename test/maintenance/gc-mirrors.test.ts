import { readdir, rm } from 'node:fs/promises';
import path from 'node:path';
import { expect, test } from 'vitest';
import { leftMirrors } from '../../maintenance/gc/mirrors.ts';
import { openLab } from '../worktrees/lab.ts';

test('the mirror of a project that no longer exists is removed, unless a worktree or a result needs it', async () => {
  const { root, locksDir, repository, mirror, worktrees, create } = await openLab();
  const places = { locksDir, root: path.join(root, 'home', 'worktrees') };
  const found = async (projects: string[] = []): Promise<string[]> =>
    (await leftMirrors(places, projects)).map(({ name }) => name);
  const tree = await create();
  await tree.write({ 'new.txt': 'new\n' });
  expect(await found()).toEqual([]);
  await rm(repository.path, { recursive: true });
  expect(await found(), 'a worktree borrows from it').toEqual([]);
  await tree.change();
  await tree.remove();
  expect(await found(), 'a result is in it').toEqual([]);
  await worktrees.deleteRef({ projectPath: mirror, ref: tree.ref });
  expect(await found([repository.path]), 'a row names the project').toEqual([]);
  const [left] = await leftMirrors(places, []);
  expect(left).toMatchObject({ kind: 'mirror', name: mirror });
  expect(await left?.remove()).toEqual({ kind: 'removed' });
  expect(await readdir(path.dirname(mirror))).toEqual([]);
});
