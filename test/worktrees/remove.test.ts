import { execFileSync } from 'node:child_process';
import { chmod, mkdir, readdir, rm, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { expect, test } from 'vitest';
import { gitIn, makeRepository, treeOf } from '../lab/repositories.ts';
import { taskRef } from '../../worktrees/worktrees.ts';
import { openLab } from './lab.ts';

const absent = async (file: string): Promise<boolean> =>
  stat(file).then(
    () => false,
    () => true,
  );

test('removing a worktree leaves no folder, entry, record or empty parent', async () => {
  const { root, locksDir, create, mirror } = await openLab();
  const tree = await create();
  await tree.write({ 'new.txt': 'new', 'node_modules/x/y.js': 'y' });
  expect(await tree.remove()).toEqual({ removed: true });
  expect(await readdir(path.join(root, 'home', 'worktrees'))).toEqual([]);
  expect(await readdir(locksDir)).toEqual([]);
  expect(await absent(path.join(mirror, 'worktrees'))).toBe(true);
  expect(await tree.remove()).toEqual({ removed: false });
});

test('parents that hold another worktree stay', async () => {
  const { root, create } = await openLab();
  const [one, two] = [await create('one'), await create('two')];
  await one.remove();
  expect(await readdir(path.join(root, 'home', 'worktrees', 'sessions'))).toEqual(['two']);
  expect(await two.collect()).toMatchObject({ kind: 'none' });
});

test('either the folder or the entry may be missing already', async () => {
  const { repository, create, mirror } = await openLab();
  const folderGone = await create('one');
  await rm(folderGone.worktreePath, { recursive: true });
  expect(await folderGone.remove()).toEqual({ removed: true });
  const entryGone = await create('two');
  await rm(path.join(mirror, 'worktrees'), { recursive: true });
  expect(await entryGone.remove()).toEqual({ removed: true });
  expect(await absent(entryGone.worktreePath)).toBe(true);
  const projectGone = await create('three');
  await rm(repository.path, { recursive: true });
  expect(await projectGone.remove()).toEqual({ removed: true });
});

test('without a record, a worktree of ours is recognised by its entry', async () => {
  const { locksDir, create } = await openLab();
  const tree = await create();
  await rm(locksDir, { recursive: true });
  expect(await tree.remove()).toEqual({ removed: true });
  expect(await absent(tree.worktreePath)).toBe(true);
});

test('a worktree is not removed for another project', async () => {
  const { root, worktrees, create } = await openLab();
  const other = await makeRepository(path.join(root, 'other'));
  const { worktreePath } = await create();
  await expect(worktrees.remove({ projectPath: other.path, worktreePath })).rejects.toMatchObject({
    code: 'worktree_in_use',
  });
  expect(await absent(worktreePath)).toBe(false);
});

test('the worktree of a task whose project has no row is found, collected and removed', async () => {
  const { root, repository, locksDir, worktrees } = await openLab();
  const worktreePath = path.join(root, 'home', 'worktrees', 'one');
  expect(await worktrees.findOwned('task-1')).toBeUndefined();
  const { base } = await worktrees.create({ projectPath: repository.path, worktreePath, owner: 'task-1' });
  await writeFile(path.join(worktreePath, 'new.txt'), 'new');
  expect(await worktrees.findOwned('task-2')).toBeUndefined();
  const found = { worktreePath, base, owner: 'task-1', topLevel: repository.path };
  expect(await worktrees.findOwned('task-1')).toMatchObject({ ...found, state: 'ready' });
  const collecting = { worktreePath, base, ref: taskRef('one'), message: 'Do it' };
  expect(await worktrees.collect(collecting)).toMatchObject({ kind: 'changed' });
  await rm(locksDir, { recursive: true });
  expect(await worktrees.collect(collecting)).toMatchObject({ kind: 'changed' });
  expect(await worktrees.remove({ worktreePath })).toEqual({ removed: true });
  await worktrees.create({ projectPath: repository.path, worktreePath, owner: 'task-2' });
  await rm(path.join(worktreePath, '.git'), { recursive: true });
  expect(await worktrees.remove({ worktreePath })).toEqual({ removed: true });
  expect(await worktrees.findOwned('task-2')).toBeUndefined();
  expect(await worktrees.remove({ worktreePath })).toEqual({ removed: false });
});

test('a folder without any sign of a worktree is not removed, also without a project', async () => {
  const { root, worktrees } = await openLab();
  const worktreePath = path.join(root, 'somebody');
  await mkdir(worktreePath);
  await writeFile(path.join(worktreePath, 'notes.txt'), 'mine');
  const removed = worktrees.remove({ worktreePath });
  await expect(removed).rejects.toThrow(/was not removed: no project, no record of this home/);
  await expect(removed).rejects.toMatchObject({ code: 'worktree_in_use' });
  expect(await readdir(worktreePath)).toEqual(['notes.txt']);
});

test('read-only folders and worktrees that the agent created inside are removed, too', async () => {
  const { create, inMirror } = await openLab();
  const tree = await create();
  await tree.write({ 'cache/mod/file.go': 'package x' });
  await chmod(tree.file('cache/mod'), 0o500);
  await chmod(tree.file('cache'), 0o500);
  await gitIn(tree.worktreePath, 'worktree', 'add', '--quiet', '--detach', 'inside');
  await tree.remove();
  expect(await inMirror('worktree', 'list', '--porcelain')).not.toContain('sessions');
});

test('a tree deeper than the longest path is removed, too, with read-only folders in it', async () => {
  const { create } = await openLab();
  const tree = await create();
  const program = `
    const { chmodSync, mkdirSync, writeFileSync } = require('node:fs');
    for (let depth = 0; depth < 300; depth += 1) {
      const name = 'f'.repeat(20);
      mkdirSync(name);
      process.chdir(name);
      if (depth % 100 === 50) mkdirSync('beside');
      if (depth % 100 === 50) chmodSync('beside', 0o500);
    }
    writeFileSync('deep.txt', 'deep');
    chmodSync('.', 0o500);`;
  execFileSync(process.execPath, ['--eval', program], { cwd: tree.worktreePath });
  expect(await tree.remove()).toEqual({ removed: true });
  expect(await absent(tree.worktreePath)).toBe(true);
});

test('a reset worktree is as it was created, whatever the agent did', async () => {
  const { root, repository, create } = await openLab({
    'a.txt': 'a\n',
    'run.sh': { mode: 0o755, content: '#!/bin/sh\n' },
    '.gitignore': '*.log\n',
  });
  const library = await makeRepository(path.join(root, 'library'), { 'lib.js': 'lib\n' });
  await repository.git('submodule', '--quiet', 'add', library.path, 'vendor');
  await repository.commit();
  const before = await repository.fingerprint();
  const tree = await create();
  const made = await treeOf(tree.worktreePath);
  await tree.write({ 'a.txt': 'ours\n', 'x.log': 'ignored', 'new/deep.txt': 'new', 'vendor/lib.js': 'changed' });
  await chmod(tree.file('run.sh'), 0o644);
  await makeRepository(tree.file('nested'));
  await gitIn(tree.worktreePath, 'commit', '--quiet', '--all', '--message', 'ours');
  await gitIn(tree.worktreePath, 'checkout', '--quiet', '--detach', 'HEAD~1');
  await tree.write({ 'a.txt': 'theirs\n' });
  await gitIn(tree.worktreePath, 'commit', '--quiet', '--all', '--message', 'theirs');
  await expect(gitIn(tree.worktreePath, 'rebase', '--quiet', 'HEAD@{2}')).rejects.toThrow();
  await gitIn(tree.worktreePath, 'update-index', '--assume-unchanged', 'run.sh');
  await tree.reset();
  expect(await treeOf(tree.worktreePath)).toEqual(made);
  expect(await gitIn(tree.worktreePath, 'status', '--porcelain', '--ignored', '--branch')).toBe('## HEAD (no branch)');
  expect(await gitIn(tree.worktreePath, 'rev-parse', 'HEAD')).toBe(tree.base);
  await tree.remove();
  expect(await repository.fingerprint()).toEqual(before);
});

test('a folder that Longhaul did not create is not reset', async () => {
  const { repository, worktrees } = await openLab();
  const reset = worktrees.reset({ worktreePath: repository.path, base: await repository.git('rev-parse', 'HEAD') });
  await expect(reset).rejects.toMatchObject({ code: 'worktree_in_use' });
});
