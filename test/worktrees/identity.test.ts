import { mkdir, rename, rm, symlink } from 'node:fs/promises';
import path from 'node:path';
import { expect, test } from 'vitest';
import { gitIn, treeOf } from '../lab/repositories.ts';
import { type AgentTree, openLab } from './lab.ts';

type Replace = (tree: AgentTree, project: string) => Promise<unknown>;
const remove = ({ worktreePath }: AgentTree): Promise<void> => rm(worktreePath, { recursive: true });

test.each<[string, Replace]>([
  [
    'was removed and came to be again with one more file',
    async (tree) => {
      await remove(tree);
      await tree.write({ 'late/more.txt': 'more\n' });
    },
  ],
  [
    'was replaced by a clone of the project',
    async (tree, project) => {
      await remove(tree);
      await gitIn(path.dirname(tree.worktreePath), 'clone', '--quiet', project, tree.worktreePath);
    },
  ],
  [
    'was moved away, with a folder in its place that has its .git',
    async (tree) => {
      await rename(tree.worktreePath, `${tree.worktreePath}-moved`);
      await mkdir(tree.worktreePath);
      await rename(path.join(`${tree.worktreePath}-moved`, '.git'), tree.file('.git'));
    },
  ],
])('a worktree that %s is not collected, reset, removed or worked in', async (_, replace) => {
  const { repository, worktrees, create, inMirror } = await openLab();
  const tree = await create();
  await tree.write({ 'new.txt': 'new\n' });
  await replace(tree, repository.path);
  const before = await treeOf(tree.worktreePath);
  expect(await tree.collect()).toEqual({
    kind: 'kept',
    reason: expect.stringContaining('another one'),
    replaced: true,
  });
  const refused = { code: 'worktree_replaced', message: expect.stringContaining(tree.worktreePath) as string };
  expect(() => worktrees.refuseReplaced(tree.worktreePath)).toThrow(expect.objectContaining(refused));
  await expect(tree.reset()).rejects.toMatchObject(refused);
  await expect(tree.remove()).rejects.toMatchObject(refused);
  await expect(create()).rejects.toMatchObject(refused);
  expect(await treeOf(tree.worktreePath)).toEqual(before);
  expect(await inMirror('for-each-ref', 'refs/longhaul')).toBe('');
  // The session's next task works elsewhere.
  const next = await create('task-2');
  await next.write({ 'next.txt': 'next\n' });
  expect((await next.change()).files).toMatchObject([{ path: 'next.txt' }]);
});

test.each<[string, Replace]>([
  ['lost its .git', (tree) => rm(tree.file('.git'), { recursive: true })],
  [
    'has a repository of its own for a .git',
    async (tree) => {
      await rm(tree.file('.git'), { recursive: true });
      await gitIn(tree.worktreePath, 'init', '--quiet');
    },
  ],
  [
    'was moved away and back',
    async (tree) => {
      await rename(tree.worktreePath, `${tree.worktreePath}-moved`);
      await rename(`${tree.worktreePath}-moved`, tree.worktreePath);
    },
  ],
  ['was made anew by a reset', (tree) => tree.reset()],
])('a worktree that %s is the same one', async (_, meddle) => {
  const { create } = await openLab();
  const tree = await create();
  await meddle(tree, '');
  await tree.write({ 'new.txt': 'new\n' });
  expect((await tree.change()).files).toMatchObject([{ path: 'new.txt' }]);
  await tree.remove();
});

test('a link that replaces it is not used either', async () => {
  const { root, worktrees, create } = await openLab();
  const tree = await create();
  await remove(tree);
  await mkdir(path.join(root, 'outside'));
  await symlink(path.join(root, 'outside'), tree.worktreePath);
  const refused = expect.objectContaining({ code: 'worktree_replaced' }) as Error;
  expect(() => worktrees.refuseReplaced(tree.worktreePath)).toThrow(refused);
  await expect(tree.reset()).rejects.toThrow(refused);
});
