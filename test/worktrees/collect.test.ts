import { execFileSync } from 'node:child_process';
import {
  chmod,
  mkdir,
  readFile,
  readdir,
  rename,
  rm,
  stat,
  symlink,
  unlink,
  utimes,
  writeFile,
} from 'node:fs/promises';
import { once } from 'node:events';
import { createServer } from 'node:net';
import path from 'node:path';
import { expect, test } from 'vitest';
import { SAMPLE_FILES, gitIn, makeRepository, treeOf, writeFiles } from '../lab/repositories.ts';
import { type AgentTree, type Lab, openLab } from './lab.ts';

/** The patch, applied to a fresh checkout of the base, and the commit, checked out: both must be what the agent left. */
async function expectSame({ root, repository }: Lab, tree: AgentTree): Promise<void> {
  const left = await treeOf(tree.worktreePath);
  const change = await tree.change();
  const patched = path.join(root, 'patched');
  await gitIn(root, 'clone', '--quiet', repository.path, patched);
  await gitIn(patched, 'checkout', '--quiet', '--detach', tree.base);
  await writeFile(path.join(root, 'change.patch'), change.patch);
  await gitIn(patched, 'apply', '--index', '--whitespace=nowarn', path.join(root, 'change.patch'));
  expect(await treeOf(patched)).toEqual(left);
  const stored = path.join(root, 'stored');
  await repository.git('worktree', 'add', '--quiet', '--detach', stored, change.commit);
  expect(await treeOf(stored)).toEqual(left);
}

const names = (change: { files: readonly { path: string }[] }): string[] =>
  change.files.map((file) => file.path).sort();

test('edits, new, deleted, renamed and binary files, modes, links and odd names are stored as they are', async () => {
  const body = Array.from({ length: 40 }, (_, at) => `line ${at}\n`).join('');
  const lab = await openLab({
    ...SAMPLE_FILES,
    'old name.txt': body,
    'gone.txt': 'gone\n',
    'run.sh': '#!/bin/sh\n',
    'image.bin': Buffer.from([0, 1, 2]),
    kind: 'a file\n',
  });
  const tree = await lab.create();
  await rename(tree.file('old name.txt'), tree.file('neuer Name – ü.txt'));
  await writeFile(tree.file('neuer Name – ü.txt'), `${body}one more\n`);
  await unlink(tree.file('gone.txt'));
  await chmod(tree.file('run.sh'), 0o755);
  await unlink(tree.file('kind'));
  await tree.write({
    kind: { link: 'README.md' },
    'README.md': '# Changed\n',
    'image.bin': Buffer.from([0, 255, 254, 10]),
    'latin1.txt': Buffer.from([0x63, 0x61, 0x66, 0xe9, 0x0a]),
    'no newline': 'x',
    empty: '',
    '-dash': 'dash\n',
    ':(glob)**': 'magic\n',
    'line\nbreak\tand "quotes"': 'odd\n',
    '目录/файл.txt': 'unicode\n',
    dangling: { link: 'nowhere' },
  });
  await expectSame(lab, tree);
  const change = await tree.change();
  expect(names(change)).toEqual(
    ['-dash', ':(glob)**', 'README.md', 'dangling', 'empty', 'gone.txt', 'image.bin', 'kind', 'latin1.txt']
      .concat(['line\nbreak\tand "quotes"', 'neuer Name – ü.txt', 'no newline', 'run.sh', '目录/файл.txt'])
      .sort(),
  );
  const file = (name: string): unknown => change.files.find((one) => one.path === name);
  expect(file('neuer Name – ü.txt')).toEqual({
    path: 'neuer Name – ü.txt',
    old_path: 'old name.txt',
    status: 'renamed',
    old_mode: '100644',
    new_mode: '100644',
    additions: 1,
    deletions: 0,
    binary: false,
  });
  expect(file('gone.txt')).toMatchObject({ status: 'deleted', deletions: 1 });
  expect(file('image.bin')).toMatchObject({ status: 'modified', binary: true, additions: 0 });
  expect(file('kind')).toMatchObject({ status: 'type_changed' });
  expect(file('run.sh')).toMatchObject({
    status: 'modified',
    old_mode: '100644',
    new_mode: '100755',
    additions: 0,
    deletions: 0,
  });
  expect(change.diff).toContain('Binary files a/image.bin and b/image.bin differ');
  expect(change.diff).toContain('+caf\uFFFD');
  expect(change.patch.includes(Buffer.from([0x63, 0x61, 0x66, 0xe9]))).toBe(true);
});

test('the commit is on its base, by Longhaul, and a second run creates the same commit', async () => {
  const { repository, create } = await openLab();
  const tree = await create();
  await tree.write({ 'new.txt': 'new\n' });
  const before = await repository.fingerprint();
  const { commit } = await tree.change();
  expect(await repository.git('log', '-1', '--format=%P|%an <%ae>|%cn|%s', tree.ref)).toBe(
    `${tree.base}|Longhaul <longhaul@localhost>|Longhaul|Do it`,
  );
  expect((await tree.change()).commit).toBe(commit);
  expect(await repository.fingerprint()).toEqual(before);
});

test('without edits nothing is stored, also after edits were undone', async () => {
  const { repository, worktrees, create } = await openLab();
  const tree = await create();
  expect(await tree.collect()).toEqual({ kind: 'none', ignored: [], notes: [] });
  await tree.write({ 'new.txt': 'new\n' });
  await tree.change();
  await rm(tree.file('new.txt'));
  expect(await tree.collect()).toMatchObject({ kind: 'none' });
  expect(await worktrees.resultCommit({ projectPath: repository.path, ref: tree.ref })).toBeUndefined();
});

test('commits, merges and staged content are ignored; the files on disk count', async () => {
  const lab = await openLab();
  const tree = await lab.create();
  const git = (...args: string[]): Promise<string> => gitIn(tree.worktreePath, ...args);
  await git('checkout', '--quiet', '-b', 'agents-own');
  await tree.write({ 'one.txt': 'one\n', 'src/greet.js': 'export const greet = 1;\n' });
  await git('add', '--all');
  await git('commit', '--quiet', '--message', 'One');
  await git('rm', '--quiet', '--cached', 'one.txt');
  await tree.write({ 'staged.txt': 'staged\n' });
  await git('add', 'staged.txt');
  await tree.write({ 'staged.txt': 'on disk\n' });
  const usersBranch = await lab.repository.git('rev-parse', 'main');
  await expectSame(lab, tree);
  const change = await tree.change();
  expect(names(change)).toEqual(['one.txt', 'src/greet.js', 'staged.txt']);
  expect(change.notes).toEqual(['The agent left its worktree on branch agents-own, which stays in the repository.']);
  expect(await lab.repository.git('rev-parse', 'main')).toBe(usersBranch);
});

test('a worktree in the middle of a conflict is stored with its markers', async () => {
  const { create } = await openLab({ 'a.txt': 'base\n' });
  const tree = await create();
  const git = (...args: string[]): Promise<string> => gitIn(tree.worktreePath, ...args);
  await tree.write({ 'a.txt': 'ours\n' });
  await git('commit', '--quiet', '--all', '--message', 'ours');
  await git('checkout', '--quiet', '--detach', 'HEAD~1');
  await tree.write({ 'a.txt': 'theirs\n' });
  await git('commit', '--quiet', '--all', '--message', 'theirs');
  await expect(git('merge', '--quiet', 'HEAD@{2}')).rejects.toThrow();
  expect((await tree.change()).diff).toContain('+<<<<<<<');
});

test("the worktree's index and .git file may be broken or missing", async () => {
  const lab = await openLab();
  const tree = await lab.create();
  await tree.write({ 'new.txt': 'new\n' });
  const entry = path.join(lab.repository.path, '.git', 'worktrees', 'task-1');
  await rm(path.join(entry, 'index'));
  await writeFile(path.join(entry, 'index.lock'), '');
  await rm(tree.file('.git'));
  expect(names(await tree.change())).toEqual(['new.txt']);
  await gitIn(tree.worktreePath, 'init', '--quiet');
  expect(names(await tree.change())).toEqual(['new.txt']);
});

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

test('ignored files are left out and listed, folders as one, at most 200', async () => {
  const { create } = await openLab();
  const tree = await create();
  await tree.write({ 'a.log': 'a', 'node_modules/x/index.js': 'x', 'node_modules/y/index.js': 'y' });
  expect(await tree.collect()).toEqual({
    kind: 'none',
    ignored: ['a.log', 'node_modules/'],
    notes: ['1 ignored file and 1 ignored folder were left out of the change: a.log, node_modules/.'],
  });
  await tree.write(Object.fromEntries(Array.from({ length: 250 }, (_, at) => [`many/${at}.log`, 'x'])));
  await tree.write({ 'new.txt': 'new\n' });
  const change = await tree.change();
  expect(change.ignored).toHaveLength(200);
  expect(names(change)).toEqual(['new.txt']);
});

test('work in a submodule keeps the worktree, a commit that its remote has does not', async () => {
  const { repository, root, create } = await openLab();
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
    reason: 'submodule vendor holds edits, which a commit of the project cannot carry',
  });
  await gitIn(tree.file('vendor'), 'commit', '--quiet', '--all', '--message', 'three');
  await tree.write({ 'new.txt': 'new\n' });
  const kept = await tree.collect();
  expect(kept).toMatchObject({
    kind: 'kept',
    reason: 'submodule vendor stands on a commit that is only in this worktree',
  });
  expect(await repository.git('show', `${tree.ref}:new.txt`)).toBe('new');
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

test("line ends are stored as git stores them under the user's settings", async () => {
  const { repository, create } = await openLab({ 'crlf.txt': 'a\n', '.gitattributes': 'raw.txt -text\n' });
  await repository.git('config', 'core.autocrlf', 'true');
  await repository.git('config', 'core.safecrlf', 'true');
  const tree = await create();
  expect(await readFile(tree.file('crlf.txt'), 'utf8')).toBe('a\r\n');
  await tree.write({ 'crlf.txt': 'a\r\nb\r\n', 'raw.txt': 'raw\r\n', 'lf.txt': 'a\nb\n' });
  await tree.change();
  expect((await repository.git('show', `${tree.ref}:crlf.txt`)).includes('\r')).toBe(false);
  expect(await repository.git('ls-tree', '-r', '-l', tree.ref, 'raw.txt')).toContain(' 5\traw.txt');
});

test("the user's diff settings do not affect the patch", async () => {
  const lab = await openLab();
  const settings = {
    noprefix: 'true',
    external: 'false',
    renames: 'false',
    algorithm: 'patience',
    context: '0',
    orderFile: '/dev/null',
  };
  for (const [key, value] of Object.entries(settings)) await lab.repository.git('config', `diff.${key}`, value);
  await lab.repository.git('config', 'color.ui', 'always');
  await lab.repository.git('config', 'core.quotePath', 'true');
  const tree = await lab.create();
  await rename(tree.file('src/greet.js'), tree.file('src/grüße.js'));
  const change = await tree.change();
  expect(change.diff).toBe(
    'diff --git a/src/greet.js b/src/grüße.js\nsimilarity index 100%\nrename from src/greet.js\nrename to src/grüße.js\n',
  );
  await expectSame(lab, tree);
});

test('a stored diff is cut, a patch is not', async () => {
  const { create } = await openLab();
  const tree = await create();
  await tree.write({ 'long.txt': 'a line of text\n'.repeat(100_000) });
  const change = await tree.change();
  expect(change.additions).toBe(100_000);
  expect(change.patch.length).toBeGreaterThan(1_500_000);
  expect(change.diff.length).toBeLessThanOrEqual(1024 * 1024 + 100);
  expect(change.diff.slice(-60)).toBe('+a line of text\n[cut here: the rest is in the stored commit]\n'.slice(-60));
});

test('a file that changes while it is staged, with the same size and time, is detected', async () => {
  const { repository, create } = await openLab();
  await repository.git('config', 'core.trustctime', 'false');
  const tree = await create();
  const moment = new Date('2026-01-01T12:00:00Z');
  await tree.write({ 'same.txt': '1\n' });
  await utimes(tree.file('same.txt'), moment, moment);
  await gitIn(tree.worktreePath, 'add', 'same.txt');
  await utimes(path.join(repository.path, '.git', 'worktrees', 'task-1', 'index'), moment, moment);
  await tree.write({ 'same.txt': 'x\n' });
  await utimes(tree.file('same.txt'), moment, moment);
  expect((await tree.change()).diff).toContain('+x');
  expect(await repository.git('show', `${tree.ref}:same.txt`)).toBe('x');
});

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
  const { root, repository, create } = await openLab();
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
  expect(await repository.git('for-each-ref', 'refs/longhaul')).toBe('');
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
