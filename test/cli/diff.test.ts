/** A change that `longhaul diff` prints: git applies it, or the command refuses it and names what to do. */
import { chmod, mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { expect, test } from 'vitest';
import { type Files, gitIn, makeRepository, writeFiles } from '../lab/repositories.ts';
import { treeIdOf } from './change-lab.ts';
import { openDiffLab } from './diff-lab.ts';

const { lab, newProject, changed, checkout, treeOf, jsonOf } = await openDiffLab();

test('7,000 small files and a long text are complete in a pipe; in a terminal they are cut, and --json marks the cut', async () => {
  const project = await newProject();
  const many = Object.fromEntries(
    Array.from({ length: 7_000 }, (_, at) => [`many/${at}.txt`, `content of ${at}\n`.repeat(9)]),
  );
  const task = await changed(project, (worktree) =>
    writeFiles(worktree, { ...many, 'long.txt': 'a line of text\n'.repeat(200_000) }),
  );
  const mine = await checkout(project, task.base);
  expect(await lab.take(mine, task.taskId)).toMatchObject({ code: 0, stderr: '' });
  expect(await treeIdOf(mine)).toBe(await treeOf(project, task.commit));
  const shown = await jsonOf(task.taskId);
  expect(shown).toMatchObject({ diff_truncated: true, additions: 263_000 });
  expect(String(shown['diff']).length).toBeLessThan(1.1 * 1024 * 1024);
});

test('bytes that are not UTF-8 pass through, in names and in contents; in JSON each path is reversible', async () => {
  const project = await newProject({ 'latin1.txt': Buffer.from('caf\xe9\n', 'latin1'), 'ü.txt': 'plain\n' });
  const bytes = (folder: string, name: string): Buffer =>
    Buffer.concat([Buffer.from(`${folder}/`), Buffer.from(name, 'latin1')]);
  const task = await changed(project, async (worktree) => {
    await writeFile(path.join(worktree, 'latin1.txt'), Buffer.from('caf\xe9\nth\xe9\n', 'latin1'));
    await writeFile(bytes(worktree, '\xff.txt'), 'one\n');
    await writeFile(bytes(worktree, '\xfe.txt'), 'two\n');
    await rename(path.join(worktree, 'ü.txt'), bytes(worktree, 'u\xe9'));
  });
  const mine = await checkout(project, task.base);
  expect(await lab.take(mine, task.taskId)).toMatchObject({ code: 0, stderr: '' });
  expect(await treeIdOf(mine)).toBe(await treeOf(project, task.commit));
  expect(await readFile(path.join(mine, 'latin1.txt'))).toEqual(Buffer.from('caf\xe9\nth\xe9\n', 'latin1'));
  const { files, diff, diff_truncated } = await jsonOf(task.taskId);
  const base64 = (name: string): string => Buffer.from(name, 'latin1').toString('base64');
  expect(files).toMatchObject([
    { path: 'latin1.txt', status: 'modified' },
    { path: '"u\\351"', path_bytes: base64('u\xe9'), old_path: 'ü.txt', status: 'renamed' },
    { path: '"\\376.txt"', path_bytes: base64('\xfe.txt'), status: 'added' },
    { path: '"\\377.txt"', path_bytes: base64('\xff.txt'), status: 'added' },
  ]);
  expect((files as object[])[0]).not.toHaveProperty('path_bytes');
  expect(diff_truncated).toBe(false);
  expect(diff).toContain('diff --git "a/\\377.txt" "b/\\377.txt"');
  const back = await changed(
    project,
    (worktree) => rename(bytes(worktree, 'u\xe9'), path.join(worktree, 'ü.txt')),
    task,
  );
  expect((await jsonOf(back.taskId))['files']).toMatchObject([
    { path: 'ü.txt', old_path: '"u\\351"', old_path_bytes: base64('u\xe9'), status: 'renamed' },
  ]);
});

test('a change of modes is shown with its modes, and is applied', async () => {
  const project = await newProject({ 'run.sh': '#!/bin/sh\n', gone: 'gone\n' });
  const task = await changed(project, async (worktree) => {
    await chmod(path.join(worktree, 'run.sh'), 0o755);
    await rm(path.join(worktree, 'gone'));
  });
  const { files } = await jsonOf(task.taskId);
  expect(files).toEqual([
    { path: 'gone', status: 'deleted', old_mode: '100644', additions: 0, deletions: 1, binary: false },
    {
      path: 'run.sh',
      status: 'modified',
      old_mode: '100644',
      new_mode: '100755',
      additions: 0,
      deletions: 0,
      binary: false,
    },
  ]);
  const mine = await checkout(project, task.base);
  await lab.take(mine, task.taskId);
  expect(await treeIdOf(mine)).toBe(await treeOf(project, task.commit));
});

test('a binary file whose folder ends with a blank, which git apply cannot read unquoted, is applied', async () => {
  const project = await newProject({
    'end /gone.bin': Buffer.from([0, 1]),
    'end /mode': 'x\n',
    'end /old': Buffer.from([0, 2]),
  });
  const task = await changed(project, async (worktree) => {
    await rm(path.join(worktree, 'end /gone.bin'));
    await chmod(path.join(worktree, 'end /mode'), 0o755);
    await rename(path.join(worktree, 'end /old'), path.join(worktree, 'new'));
    await writeFiles(worktree, {
      'end /empty': '',
      'diff --git a/end /x b/end /x': 'diff --git a/end /empty b/end /empty\n',
    });
  });
  const mine = await checkout(project, task.base);
  expect(await lab.take(mine, task.taskId)).toMatchObject({ code: 0, stderr: '' });
  expect(await treeIdOf(mine)).toBe(await treeOf(project, task.commit));
});

test('a link that was moved into the folder that replaces it is applied', async () => {
  const project = await newProject({ there: { link: 'nowhere' }, 'a.txt': 'a\n' });
  const task = await changed(project, async (worktree) => {
    await rm(path.join(worktree, 'there'));
    await writeFiles(worktree, { 'there/below': { link: 'nowhere' } });
  });
  const mine = await checkout(project, task.base);
  expect(await lab.take(mine, task.taskId)).toMatchObject({ code: 0, stderr: '' });
  expect(await treeIdOf(mine)).toBe(await treeOf(project, task.commit));
});

test.each([
  ['leads to itself', { 'below/there': { link: 'there' } }],
  ['leads to itself by another link', { 'below/there': { link: '../back' }, back: { link: 'below/there' } }],
  [
    'leads to a folder, in which another link leads to itself',
    { 'below/there': { link: '../a' }, 'a/b': { link: 'b' } },
  ],
  ['leads to a name that is too long for a file', { 'below/there': { link: 'long'.repeat(70) } }],
])(
  'a folder that replaces a link that %s, which git apply refuses: nothing is printed, and the suggested commands work',
  async (_, links: Files) => {
    const project = await newProject({ ...links, 'a.txt': 'a\n' });
    const task = await changed(project, async (worktree) => {
      await rm(path.join(worktree, 'below/there'));
      await writeFiles(worktree, { 'below/there/b/new.txt': 'new\n', 'a.txt': 'b\n' });
    });
    const mine = await checkout(project, task.base);
    const { code, stdout, stderr } = await lab.longhaul(mine, 'diff', task.taskId);
    expect({ code, stdout: stdout.toString() }).toEqual({ code: 1, stdout: '' });
    expect(stderr).toBe(
      `longhaul: git apply would refuse this change: it replaces the symbolic link below/there by a folder, and git cannot follow that link. Nothing was printed. To take the change, run: longhaul fetch ${task.taskId.slice(0, 8)} && git cherry-pick --no-commit ${task.commit}\n`,
    );
    const session = await lab.longhaul(mine, 'diff', '--session', task.taskId);
    expect(session).toMatchObject({ code: 1, stderr: stderr.replace(task.commit, `${task.base}..${task.commit}`) });
    await gitIn(mine, 'cherry-pick', '--no-commit', task.commit);
    expect(await gitIn(mine, 'write-tree')).toBe(await treeOf(project, task.commit));
  },
);

test.each([
  ['to a folder', { there: { link: 'folder' }, 'folder/x': 'x\n' }],
  ['to a file', { there: { link: 'a.txt' } }],
  ['through a folder that does not exist', { there: { link: 'nowhere/../there' } }],
  ['out of the repository', { there: { link: '../../somewhere' } }],
])('a folder that replaces a link %s, which git applies, is applied', async (_, files: Files) => {
  const project = await newProject({ 'a.txt': 'a\n', ...files });
  const task = await changed(project, async (worktree) => {
    await rm(path.join(worktree, 'there'));
    await writeFiles(worktree, { 'there/b/new.txt': 'new\n' });
  });
  const mine = await checkout(project, task.base);
  expect(await lab.take(mine, task.taskId)).toMatchObject({ code: 0, stderr: '' });
  expect(await treeIdOf(mine)).toBe(await treeOf(project, task.commit));
});

test('a submodule that moved, which git apply skips, is refused with nothing printed', async () => {
  const project = await newProject();
  const library = await makeRepository(path.join(lab.root, 'library'), { 'lib.js': 'one\n' });
  const first = await library.git('rev-parse', 'HEAD');
  await library.write({ 'lib.js': 'two\n' });
  await library.commit();
  await project.repository.git('submodule', '--quiet', 'add', library.path, 'vendor');
  await project.repository.commit();
  const task = await changed(project, async (worktree) => {
    await gitIn(path.join(worktree, 'vendor'), 'checkout', '--quiet', '--detach', first);
    await writeFiles(worktree, { 'new.txt': 'new\n' });
  });
  const mine = await checkout(project, task.base);
  const { code, stdout, stderr } = await lab.longhaul(mine, 'diff', task.taskId);
  expect({ code, stdout: stdout.toString() }).toEqual({ code: 1, stdout: '' });
  expect(stderr).toBe(
    `longhaul: The change moves vendor to another commit, and git apply would skip that without a message. Nothing was printed. To take the change, run: longhaul fetch ${task.taskId.slice(0, 8)} && git cherry-pick --no-commit ${task.commit}\n`,
  );
  await gitIn(mine, 'cherry-pick', '--no-commit', task.commit);
  expect(await gitIn(mine, 'write-tree')).toBe(await treeOf(project, task.commit));
});

test('a repository with a name that is not UTF-8, inside the worktree, is stored as its files', async () => {
  const project = await newProject();
  const task = await changed(project, async (worktree) => {
    await makeRepository(path.join(worktree, 'nested'), { 'a.txt': 'a\n' });
    await mkdir(path.join(worktree, 'below'));
    await rename(path.join(worktree, 'nested'), Buffer.concat([Buffer.from(`${worktree}/below/`), Buffer.of(0xff)]));
  });
  expect(await project.results('ls-tree', '-r', '--name-only', task.commit, 'below')).toBe('"below/\\377/a.txt"');
});
