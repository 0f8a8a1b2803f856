/** The change of a worktree: the files on disk, as they are. */
import { chmod, readFile, rename, rm, unlink, utimes, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { expect, test } from 'vitest';
import { SAMPLE_FILES, gitIn } from '../lab/repositories.ts';
import { expectSame, names } from './collected.ts';
import { openLab } from './lab.ts';

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
  const { repository, create, inMirror } = await openLab();
  const tree = await create();
  await tree.write({ 'new.txt': 'new\n' });
  const before = await repository.fingerprint();
  const { commit } = await tree.change();
  expect(await inMirror('log', '-1', '--format=%P|%an <%ae>|%cn|%s', tree.ref)).toBe(
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
  expect(change.notes).toEqual([
    'The agent made branch agents-own, which is kept as refs/longhaul/branches/task-1/… in the mirror.',
  ]);
  expect(await lab.inMirror('log', '-1', '--format=%s', 'refs/longhaul/branches/task-1/agents-own')).toBe('One');
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
  await writeFile(tree.file('.git/index'), 'broken');
  await writeFile(tree.file('.git/config'), '[broken');
  expect(names(await tree.change())).toEqual(['new.txt']);
  const entry = path.join(lab.mirror, 'worktrees', 'task-1');
  await rm(path.join(entry, 'index'));
  await writeFile(path.join(entry, 'index.lock'), '');
  await rm(tree.file('.git'), { recursive: true });
  expect(names(await tree.change())).toEqual(['new.txt']);
  await gitIn(tree.worktreePath, 'init', '--quiet');
  expect(names(await tree.change())).toEqual(['new.txt']);
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

test("line ends are stored as git stores them under the user's settings", async () => {
  const { repository, create, inMirror } = await openLab({ 'crlf.txt': 'a\n', '.gitattributes': 'raw.txt -text\n' });
  await repository.git('config', 'core.autocrlf', 'true');
  await repository.git('config', 'core.safecrlf', 'true');
  const tree = await create();
  expect(await readFile(tree.file('crlf.txt'), 'utf8')).toBe('a\r\n');
  await tree.write({ 'crlf.txt': 'a\r\nb\r\n', 'raw.txt': 'raw\r\n', 'lf.txt': 'a\nb\n' });
  await tree.change();
  expect((await inMirror('show', `${tree.ref}:crlf.txt`)).includes('\r')).toBe(false);
  expect(await inMirror('ls-tree', '-r', '-l', tree.ref, 'raw.txt')).toContain(' 5\traw.txt');
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
  const { repository, mirror, inMirror, create } = await openLab({ 'same.txt': '0\n' });
  await repository.git('config', 'core.trustctime', 'false');
  const tree = await create();
  const moment = new Date('2026-01-01T12:00:00Z');
  await tree.write({ 'same.txt': '1\n' });
  await utimes(tree.file('same.txt'), moment, moment);
  await gitIn(tree.worktreePath, 'add', 'same.txt');
  await utimes(path.join(mirror, 'worktrees', 'task-1', 'index'), moment, moment);
  await tree.write({ 'same.txt': 'x\n' });
  await utimes(tree.file('same.txt'), moment, moment);
  expect((await tree.change()).diff).toContain('+x');
  expect(await inMirror('show', `${tree.ref}:same.txt`)).toBe('x');
});
