/** What a change cannot hold, and what the collection must not touch. */
import { execFileSync } from 'node:child_process';
import { mkdir, readdir, rename, stat, symlink, writeFile } from 'node:fs/promises';
import { once } from 'node:events';
import { createServer } from 'node:net';
import path from 'node:path';
import { expect, test } from 'vitest';
import { makeRepository, writeFiles } from '../lab/repositories.ts';
import { names } from './collected.ts';
import { openLab } from './lab.ts';

test('a worktree that is missing, incomplete or of another project is not collected', async () => {
  const { root, worktrees, create } = await openLab();
  const tree = await create();
  const other = await makeRepository(path.join(root, 'other'));
  const request = { worktreePath: tree.worktreePath, base: tree.base, ref: tree.ref, message: 'x' };
  await expect(worktrees.collect({ ...request, projectPath: other.path })).rejects.toMatchObject({
    code: 'not_a_repository',
  });
  await tree.remove();
  await expect(tree.collect()).rejects.toMatchObject({ code: 'git_failed' });
});

test('only refs below refs/longhaul can be written or deleted, and a result can be looked up', async () => {
  const { repository, worktrees, create } = await openLab();
  const projectPath = repository.path;
  const tree = await create();
  await tree.write({ 'new.txt': 'new\n' });
  const { commit } = await tree.change();
  expect(await worktrees.resultCommit({ projectPath, ref: tree.ref })).toBe(commit);
  expect(await worktrees.hasCommit(projectPath, commit)).toBe(true);
  expect(await worktrees.hasCommit(projectPath, 'f'.repeat(40))).toBe(false);
  await worktrees.deleteRef({ projectPath, ref: tree.ref });
  await worktrees.deleteRef({ projectPath, ref: tree.ref });
  expect(await worktrees.resultCommit({ projectPath, ref: tree.ref })).toBeUndefined();
  await expect(worktrees.deleteRef({ projectPath, ref: 'refs/heads/main' })).rejects.toMatchObject({
    code: 'invalid_input',
  });
  await expect(worktrees.deleteRef({ projectPath, ref: 'refs/longhaul/../heads/main' })).rejects.toMatchObject({
    code: 'invalid_input',
  });
});

test('links that lead out of the worktree are stored as links, and their targets are not touched', async () => {
  const lab = await openLab();
  const tree = await lab.create();
  const outside = path.join(lab.root, 'outside');
  await mkdir(outside);
  await writeFile(path.join(outside, 'mine.txt'), 'mine');
  await symlink(outside, tree.file('out'));
  const change = await tree.change();
  expect(names(change)).toEqual(['out']);
  await tree.reset();
  await symlink(outside, tree.file('out'));
  await tree.remove();
  expect((await stat(path.join(outside, 'mine.txt'))).isFile()).toBe(true);
});

test('a link that replaced the worktree is not followed', async () => {
  const { root, create, inMirror } = await openLab();
  const tree = await create();
  const outside = path.join(root, 'outside');
  await writeFiles(outside, { 'secret.txt': "not the agent's\n" });
  await rename(tree.worktreePath, path.join(root, 'moved'));
  await symlink(outside, tree.worktreePath);
  expect(await tree.collect()).toEqual({
    kind: 'kept',
    reason: `${tree.worktreePath} is no longer a folder, but a link or a file that took its place`,
    replaced: true,
  });
  expect(await inMirror('for-each-ref', 'refs/longhaul')).toBe('');
  await tree.remove();
  expect(await readdir(outside)).toEqual(['secret.txt']);
});

test('a file too deep for git to reach keeps the worktree', async () => {
  const { create } = await openLab();
  const tree = await create();
  const program = `
    for (let depth = 0; depth < 300; depth += 1) {
      require('node:fs').mkdirSync('f'.repeat(20));
      process.chdir('f'.repeat(20));
    }
    require('node:fs').writeFileSync('deep.txt', 'deep');`;
  execFileSync(process.execPath, ['--eval', program], { cwd: tree.worktreePath });
  const reason = expect.stringMatching(/^the folder f{20}\/[f/]{179} cannot be read$/);
  expect(await tree.collect()).toEqual({ kind: 'kept', reason });
  await tree.remove();
});

test('named pipes and sockets are reported, because no change can contain them', async () => {
  const { create } = await openLab({ 'a.txt': 'a\n', '.gitignore': 'ignored/\n' });
  const tree = await create();
  for (const folder of ['alone', 'ignored']) await mkdir(tree.file(folder));
  for (const name of ['1', '2', '3', '4', 'alone/5', 'ignored/pipe']) execFileSync('mkfifo', [tree.file(name)]);
  const sentence = 'Named pipes, sockets and devices cannot be stored and are not in the change: 1, 2, 3, 4, alone/5';
  const ignored = '1 ignored folder was left out of the change: ignored/.';
  expect(await tree.collect()).toMatchObject({ kind: 'none', notes: [`${sentence}.`, ignored] });
  const server = createServer().listen(tree.file('b.sock'));
  await once(server, 'listening');
  await tree.write({ 'a.txt': 'b\n' });
  const { notes, files } = await tree.change();
  server.close();
  expect(files).toMatchObject([{ path: 'a.txt' }]);
  expect(notes).toEqual([`${sentence} and 1 more.`, ignored]);
});
