/** The mirror of a project: brought up to date, repaired, found again. */
import { chmod, cp, mkdir, readdir, readFile, rename, rm, stat, symlink, truncate, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { expect, test, vi } from 'vitest';
import { gitIn, treeOf } from '../lab/repositories.ts';
import { makeWorktrees } from '../../worktrees/worktrees.ts';
import { openLab } from './lab.ts';

test('objects are hard links, refs are those of the project, and its hooks are not there', async () => {
  const { repository, mirror, inMirror, create } = await openLab();
  await repository.git('tag', '--annotate', '--message', 'v1', 'v1');
  await repository.git('update-ref', 'refs/remotes/origin/main', 'HEAD');
  await repository.git('symbolic-ref', 'refs/remotes/origin/HEAD', 'refs/remotes/origin/main');
  await repository.git('pack-refs', '--all');
  await repository.git('branch', 'later');
  await writeFile(path.join(repository.path, '.git/hooks/pre-commit'), '#!/bin/sh\nexit 1\n', { mode: 0o755 });
  const tree = await create();
  const refs = await repository.git('for-each-ref', '--format=%(refname) %(objectname) %(*objectname)');
  expect(await gitIn(tree.worktreePath, 'for-each-ref', '--format=%(refname) %(objectname) %(*objectname)')).toBe(refs);
  expect(await gitIn(tree.worktreePath, 'symbolic-ref', 'refs/remotes/origin/HEAD')).toBe('refs/remotes/origin/main');
  expect(await inMirror('rev-parse', 'later')).toBe(tree.base);
  expect(await readdir(tree.file('.git/hooks'))).toEqual([]);
  const object = path.join('objects', tree.base.slice(0, 2), tree.base.slice(2));
  const [ours, theirs] = await Promise.all([mirror, path.join(repository.path, '.git')].map((dir) => stat(path.join(dir, object)))); // prettier-ignore
  expect(ours?.ino).toBe(theirs?.ino);
});

test('a branch that the user has made since, without a new commit of the checkout, is there in the next worktree', async () => {
  const { repository, create } = await openLab();
  await create('one');
  const later = await repository.git('commit-tree', '-p', 'HEAD', '-m', 'Later', 'HEAD^{tree}');
  await repository.git('update-ref', 'refs/heads/later', later);
  const tree = await create('two');
  expect(await gitIn(tree.worktreePath, 'log', '-1', '--format=%s', 'later')).toBe('Later');
});

test.each<[string, (mirror: string) => Promise<unknown>]>([
  ['was removed', (mirror) => rm(mirror, { recursive: true })],
  ['lost its HEAD', (mirror) => rm(path.join(mirror, 'HEAD'))],
  ['lost its objects', (mirror) => rm(path.join(mirror, 'objects'), { recursive: true })],
  ['has a broken config', (mirror) => writeFile(path.join(mirror, 'config'), '[broken')],
  ['has an empty state', (mirror) => truncate(path.join(mirror, 'longhaul.json'))],
  [
    'has empty objects',
    async (mirror) => {
      for (const name of await readdir(path.join(mirror, 'objects'), { recursive: true })) {
        const file = path.join(mirror, 'objects', name);
        if (!(await stat(file)).isFile()) continue;
        await rm(file);
        await writeFile(file, '');
      }
    },
  ],
])('a mirror that %s is made whole by the next task', async (_, damage) => {
  const { repository, mirror, inMirror, create } = await openLab();
  await (await create('one')).remove();
  await damage(mirror);
  const tree = await create('two');
  expect(await treeOf(tree.worktreePath)).toEqual(await treeOf(repository.path));
  await tree.write({ 'new.txt': 'new\n' });
  const { commit } = await tree.change();
  expect(await inMirror('rev-parse', tree.ref)).toBe(commit);
  await inMirror('fsck', '--full');
});

test('a project that was moved has the same mirror, with its results', async () => {
  const { root, repository, worktrees, create } = await openLab();
  const tree = await create('one');
  await tree.write({ 'new.txt': 'new\n' });
  const { commit } = await tree.change();
  await tree.remove();
  const projectPath = path.join(root, 'moved');
  await rename(repository.path, projectPath);
  const place = { projectPath, worktreePath: path.join(root, 'home/worktrees/two') };
  expect(await worktrees.create({ ...place, base: commit })).toMatchObject({ state: 'created', base: commit });
  expect(await worktrees.resultCommit({ projectPath, ref: tree.ref })).toBe(commit);
  expect(await readdir(path.join(root, 'home/mirrors'))).toHaveLength(1);
});

test("the project's settings hold in the worktree and for its result, with what they include", async () => {
  const { root, repository, create } = await openLab({ 'a.txt': 'a\n', 'run.sh': '#!/bin/sh\n' });
  vi.stubEnv('GIT_CONFIG_GLOBAL', path.join(root, 'global'));
  await writeFile(path.join(root, 'work'), '[user]\n\tname = At Work\n[core]\n\tautocrlf = true\n');
  await writeFile(
    path.join(root, 'global'),
    `[user]\n\tname = At Home\n[includeIf "gitdir:${repository.path}/"]\n\tpath = work\n`,
  );
  await writeFile(path.join(repository.path, '.git/more'), '[alias]\n\tst = "status --short"\n');
  for (const [key, value] of [
    ['include.path', 'more'],
    ['core.hooksPath', '.husky'],
    ['core.fileMode', 'false'],
    ['filter.shout.clean', 'tr a-z A-Z'],
    ['remote.beside.url', '../beside.git'],
    ['remote.a"b\\c.url', 'x\ty"\\'],
  ] as const) {
    await repository.git('config', key, value);
  }
  await repository.git('update-index', '--chmod=+x', 'run.sh');
  await repository.git('commit', '--quiet', '--message', 'Executable in the index only');
  await mkdir(path.join(repository.path, '.git/info'), { recursive: true });
  await writeFile(path.join(repository.path, '.git/info/attributes'), '*.loud filter=shout\n');
  await writeFile(path.join(repository.path, '.git/info/exclude'), 'private/\n');
  const tree = await create();
  const value = (key: string): Promise<string> => gitIn(tree.worktreePath, 'config', '--local', key);
  expect(await value('user.name')).toBe('At Work');
  expect(await value('alias.st')).toBe('status --short');
  expect(await value('remote.beside.url')).toBe(path.join(root, 'beside.git'));
  expect(await value('remote.a"b\\c.url')).toBe('x\ty"\\');
  await expect(value('core.hooksPath')).rejects.toThrow();
  expect((await readFile(tree.file('a.txt'))).toString()).toBe('a\r\n');
  await tree.write({ 'x.loud': 'quiet\n', 'private/y.txt': 'y', 'run.sh': '#!/bin/sh\necho\n' });
  await chmod(tree.file('run.sh'), 0o644);
  const { files, diff, ignored } = await tree.change();
  expect(files).toMatchObject([{ path: 'run.sh', new_mode: '100755' }, { path: 'x.loud' }]);
  expect(diff).toContain('+QUIET');
  expect(ignored).toEqual(['private/']);
});

test('files that the agent added by force are in the change', async () => {
  const { create } = await openLab();
  const tree = await create();
  await tree.write({ 'forced.log': 'forced', 'left.log': 'left', 'deep/odd [x]*.log': 'odd' });
  await gitIn(tree.worktreePath, 'add', '--force', '--', 'forced.log', ':(literal)deep/odd [x]*.log');
  await gitIn(tree.worktreePath, 'commit', '--quiet', '--message', 'By force');
  const { files, ignored } = await tree.change();
  expect(files.map((file) => file.path)).toEqual(['deep/odd [x]*.log', 'forced.log']);
  expect(ignored).toEqual(['left.log']);
});

test('a shallow and a partial clone are projects too, and one that borrows', async () => {
  const { root, repository, worktrees } = await openLab({ 'a.txt': 'one\n', 'b.txt': 'b\n' });
  await repository.git('config', 'uploadpack.allowFilter', 'true');
  await repository.write({ 'a.txt': 'two\n' });
  await repository.commit();
  const ways = { shallow: ['--depth=1'], partial: ['--filter=blob:none'], borrowing: ['--shared'] };
  for (const [name, flags] of Object.entries(ways)) {
    const projectPath = path.join(root, name);
    await gitIn(root, 'clone', '--quiet', '--no-local', ...flags, `file://${repository.path}`, projectPath).catch(() =>
      gitIn(root, 'clone', '--quiet', ...flags, repository.path, projectPath),
    );
    const before = await treeOf(path.join(projectPath, '.git'));
    const place = { projectPath, worktreePath: path.join(root, 'home/worktrees', name) };
    const { base } = await worktrees.create(place);
    expect(await treeOf(place.worktreePath), name).toEqual(await treeOf(repository.path));
    expect(await gitIn(place.worktreePath, 'log', '-1', '--format=%H')).toBe(base);
    await writeFile(path.join(place.worktreePath, 'a.txt'), 'three\n');
    const collected = await worktrees.collect({ ...place, base, ref: `refs/longhaul/tasks/${name}`, message: 'x' });
    expect(collected, name).toMatchObject({ kind: 'changed', files: [{ path: 'a.txt' }] });
    expect(await treeOf(path.join(projectPath, '.git')), name).toEqual(before);
  }
});

test('a SHA-256 repository is a project too, and large files of git-lfs are there for the agent', async () => {
  const { root, worktrees } = await openLab();
  const projectPath = path.join(root, 'sha256');
  await gitIn(root, 'init', '--quiet', '--object-format=sha256', projectPath);
  await writeFile(path.join(projectPath, 'a.txt'), 'a\n');
  await gitIn(projectPath, 'add', '--all');
  await gitIn(projectPath, 'commit', '--quiet', '--message', 'One');
  const large = 'lfs/objects/4d/7a/4d7a';
  await mkdir(path.dirname(path.join(projectPath, '.git', large)), { recursive: true });
  await writeFile(path.join(projectPath, '.git', large), 'large');
  const place = { projectPath, worktreePath: path.join(root, 'home/worktrees/one') };
  const { base } = await worktrees.create(place);
  expect(base).toHaveLength(64);
  const borrowed = await readFile(path.join(place.worktreePath, '.git/objects/info/alternates'), 'utf8');
  expect(await readFile(path.join(path.dirname(borrowed.trimEnd()), large), 'utf8')).toBe('large');
  await writeFile(path.join(place.worktreePath, 'b.txt'), 'b\n');
  const collected = await worktrees.collect({ ...place, base, ref: 'refs/longhaul/tasks/one', message: 'x' });
  expect(collected).toMatchObject({ kind: 'changed', files: [{ path: 'b.txt' }] });
});

test('a linked worktree and a link are the same project, with one mirror', async () => {
  const { root, repository, worktrees } = await openLab();
  await repository.git('worktree', 'add', '--quiet', '-b', 'linked', path.join(root, 'linked'));
  await symlink(path.join(root, 'linked'), path.join(root, 'link'));
  await cp(path.join(repository.path, 'README.md'), path.join(root, 'linked/second.md'));
  await gitIn(path.join(root, 'linked'), 'add', '--all');
  await gitIn(path.join(root, 'linked'), 'commit', '--quiet', '--message', 'On the linked one');
  for (const [name, files] of [
    ['project', []],
    ['linked', ['second.md']],
    ['link', ['second.md']],
  ] as const) {
    const worktreePath = path.join(root, 'home/worktrees', name);
    await worktrees.create({ projectPath: path.join(root, name), worktreePath });
    expect(await readdir(worktreePath), name).toEqual(expect.arrayContaining(['README.md', ...files]));
  }
  expect(await readdir(path.join(root, 'home/mirrors'))).toHaveLength(1);
});

test('a mirror that is gone while an agent works is made again, and the work is in the change', async () => {
  const { repository, mirror, create } = await openLab();
  const tree = await create();
  await tree.write({ 'new.txt': 'new\n' });
  await rm(mirror, { recursive: true });
  expect((await tree.change()).files).toMatchObject([{ path: 'new.txt' }]);
  await rm(mirror, { recursive: true });
  await tree.write({ 'more.txt': 'more\n' });
  const next = await create();
  expect(next.state).toBe('created'); // what was collected makes room
  await next.write({ 'again.txt': 'again\n' });
  await rm(mirror, { recursive: true });
  expect(await create()).toMatchObject({ state: 'found', base: next.base });
  expect(await gitIn(next.worktreePath, 'status', '--porcelain')).toBe('?? again.txt');
  expect((await next.change()).files).toMatchObject([{ path: 'again.txt' }]);
  await next.remove();
  expect(await repository.git('status', '--porcelain')).toBe('');
});

test('a mirror that is gone with the result that a task began from: the work stays in its folder, and the sentence says why', async () => {
  const { root, repository, mirror, worktrees, create } = await openLab();
  const first = await create('one');
  await first.write({ 'one.txt': 'one\n' });
  const { commit } = await first.change();
  const place = { projectPath: repository.path, worktreePath: path.join(root, 'home/worktrees/two') };
  await worktrees.create({ ...place, base: commit });
  await writeFile(path.join(place.worktreePath, 'two.txt'), 'two\n');
  await rm(mirror, { recursive: true });
  const kept = await worktrees.collect({ ...place, base: commit, ref: 'refs/longhaul/tasks/two', message: 'x' });
  expect(kept).toMatchObject({ kind: 'kept', reason: expect.stringContaining(`no commit ${commit}`) as string });
  expect(await readFile(path.join(place.worktreePath, 'two.txt'), 'utf8')).toBe('two\n');
  await (await create('three')).remove();
});

test('two homes on one project have a mirror each and share nothing', async () => {
  const { root, repository, create, inMirror } = await openLab();
  const before = await treeOf(path.join(repository.path, '.git'));
  const places = { locksDir: path.join(root, 'other/locks'), root: path.join(root, 'other/worktrees') };
  const other = makeWorktrees(places);
  const place = { projectPath: repository.path, worktreePath: path.join(places.root, 'task-1') };
  const [tree, { base }] = await Promise.all([create(), other.create(place)]);
  await Promise.all([tree.write({ 'one.txt': '1\n' }), writeFile(path.join(place.worktreePath, 'two.txt'), '2\n')]);
  const collecting = other.collect({ ...place, base, ref: tree.ref, message: 'x' });
  const [{ files, commit }, theirs] = await Promise.all([tree.change(), collecting]);
  expect(files).toMatchObject([{ path: 'one.txt' }]);
  expect(theirs).toMatchObject({ kind: 'changed', files: [{ path: 'two.txt' }] });
  expect(await inMirror('rev-parse', tree.ref)).toBe(commit);
  await Promise.all([tree.remove(), other.remove(place)]);
  expect(await other.resultCommit({ projectPath: repository.path, ref: tree.ref })).not.toBe(commit);
  expect(await treeOf(path.join(repository.path, '.git'))).toEqual(before);
});
