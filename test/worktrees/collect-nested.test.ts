/** A worktree with repositories and submodules inside. */
import { readdir, rm } from 'node:fs/promises';
import path from 'node:path';
import { expect, test } from 'vitest';
import { gitIn, makeRepository, writeFiles } from '../lab/repositories.ts';
import { expectSame, names } from './collected.ts';
import { openLab } from './lab.ts';

test('repositories that the agent created inside are stored as files, at any depth and stage, and are not changed', async () => {
  const lab = await openLab();
  const tree = await lab.create();
  await makeRepository(tree.file('cloned'), { 'a.txt': 'a\n' });
  await makeRepository(tree.file('cloned/within'), { 'b.txt': 'b\n' });
  await makeRepository(tree.file('fresh'), {});
  await writeFiles(tree.file('fresh'), { 'c.txt': 'c\n' });
  await makeRepository(tree.file('committed'), { 'd.txt': 'd\n' });
  await makeRepository(tree.file('src'), {});
  await tree.write({ 'src/new.js': 'new\n' });
  await gitIn(tree.worktreePath, 'add', 'committed');
  await gitIn(tree.worktreePath, 'commit', '--quiet', '--message', 'A pointer to nowhere');
  await expectSame(lab, tree);
  const change = await tree.change();
  expect(names(change)).toEqual([
    'cloned/a.txt',
    'cloned/within/b.txt',
    'committed/d.txt',
    'fresh/c.txt',
    'src/new.js',
  ]);
  expect(await gitIn(tree.file('cloned/within'), 'status', '--porcelain')).toBe('');
  expect(await readdir(path.dirname(tree.worktreePath))).toEqual(['task-1']);
});

test('a folder that was replaced by a clone is stored with the files of the clone', async () => {
  const lab = await openLab({ 'lib/old.js': 'old\n', 'README.md': 'read\n' });
  const tree = await lab.create();
  await rm(tree.file('lib'), { recursive: true });
  await makeRepository(tree.file('lib'), { 'new.js': 'new\n' });
  await expectSame(lab, tree);
  expect(names(await tree.change())).toEqual(['lib/new.js', 'lib/old.js']);
});

test('work in a submodule keeps the worktree, a commit that its remote has does not', async () => {
  const { repository, root, create, inMirror } = await openLab();
  const library = await makeRepository(path.join(root, 'library'), { 'lib.js': 'one\n' });
  const first = await library.git('rev-parse', 'HEAD');
  await library.write({ 'lib.js': 'two\n' });
  const second = await library.commit();
  await repository.git('submodule', '--quiet', 'add', library.path, 'vendor');
  await repository.commit();
  const tree = await create();
  await gitIn(tree.file('vendor'), 'checkout', '--quiet', '--detach', first);
  const moved = await tree.change();
  expect(moved.files).toEqual([expect.objectContaining({ path: 'vendor', status: 'modified' })]);
  await gitIn(tree.file('vendor'), 'checkout', '--quiet', '--detach', second);
  await tree.write({ 'vendor/lib.js': 'three\n' });
  expect(await tree.collect()).toEqual({
    kind: 'kept',
    reason: 'submodule vendor contains edits, which a commit of the project cannot contain',
  });
  await gitIn(tree.file('vendor'), 'commit', '--quiet', '--all', '--message', 'three');
  await tree.write({ 'new.txt': 'new\n' });
  const kept = await tree.collect();
  expect(kept).toMatchObject({
    kind: 'kept',
    reason: 'submodule vendor has a commit checked out that exists only in this worktree',
  });
  expect(await inMirror('show', `${tree.ref}:new.txt`)).toBe('new');
});

test('files in a submodule that was empty keep the worktree', async () => {
  const { repository, root, create } = await openLab();
  const library = await makeRepository(path.join(root, 'library'));
  await repository.git('submodule', '--quiet', 'add', library.path, 'vendor');
  await repository.commit();
  await repository.git('submodule', '--quiet', 'deinit', '--force', 'vendor');
  await rm(path.join(repository.path, '.git', 'modules'), { recursive: true });
  const tree = await create();
  await tree.write({ 'vendor/lost.txt': 'would be lost' });
  expect(await tree.collect()).toMatchObject({ kind: 'kept', reason: expect.stringContaining('vendor') });
});
