import { execFileSync } from 'node:child_process';
import { chmod, mkdir, readFile, readdir, rm, stat, symlink, utimes, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { expect, onTestFinished, test, vi } from 'vitest';
import { SAMPLE_FILES, gitIn, makeRepository, treeOf } from '../lab/repositories.ts';
import { openLab } from './lab.ts';

test('a worktree is detached at the commit of the checkout, and the checkout is unchanged byte for byte', async () => {
  const { repository, create, inMirror } = await openLab();
  const before = await repository.fingerprint();
  const tree = await create();
  expect(tree).toMatchObject({ state: 'created', base: await repository.git('rev-parse', 'HEAD'), warnings: [] });
  expect(await treeOf(tree.worktreePath)).toEqual(await treeOf(repository.path));
  expect(await gitIn(tree.worktreePath, 'status', '--porcelain', '--branch')).toBe('## HEAD (no branch)');
  expect(await inMirror('worktree', 'list', '-v')).toContain('Longhaul: an agent works here');
  expect(await repository.fingerprint()).toEqual(before);
  await tree.remove();
  expect(await repository.fingerprint()).toEqual(before);
});

test.each(['main', 'topic/nested-name', 'detached'])('a usual repository (%s) needs one git process', async (head) => {
  const { repository, create, root } = await openLab();
  if (head === 'detached') await repository.git('checkout', '--quiet', '--detach');
  else await repository.git('checkout', '--quiet', '-B', head);
  await create('first');
  const git = await loggedGit(path.join(root, 'bin'));
  const tree = await create();
  expect(await git()).toEqual([`-C ${tree.worktreePath} reset --quiet --hard --no-recurse-submodules`]);
});

/** Until the test ends every git process goes through a script that notes its arguments; returns how to read them. */
async function loggedGit(folder: string): Promise<() => Promise<string[]>> {
  const real = execFileSync('sh', ['-c', 'command -v git'], { encoding: 'utf8' }).trim();
  const log = path.join(folder, 'log');
  await mkdir(folder);
  await writeFile(path.join(folder, 'git'), `#!/bin/sh\necho "$@" >> '${log}'\nexec ${real} "$@"\n`, { mode: 0o755 });
  vi.stubEnv('PATH', `${folder}:${process.env['PATH']}`);
  onTestFinished(() => void vi.unstubAllEnvs());
  return async () => (await readFile(log, 'utf8')).trimEnd().split('\n');
}

test('a worktree starts from the requested base', async () => {
  const { repository, worktrees, root } = await openLab();
  const first = await repository.git('rev-parse', 'HEAD');
  await repository.write({ 'later.txt': 'later\n' });
  await repository.commit();
  const made = await worktrees.create({
    projectPath: repository.path,
    worktreePath: path.join(root, 'w'),
    base: first,
  });
  expect(made.base).toBe(first);
  expect(await readdir(made.worktreePath)).not.toContain('later.txt');
});

test('a sparse checkout gives a sparse worktree, and files outside of it do not count as deleted', async () => {
  const { repository, create } = await openLab({ 'in/a.txt': 'a\n', 'out/b.txt': 'b\n', 'top.txt': 'top\n' });
  await repository.git('sparse-checkout', 'set', '--cone', 'in');
  const tree = await create();
  expect(await readdir(tree.worktreePath)).toEqual(['.git', 'in', 'top.txt']);
  expect(await tree.collect()).toMatchObject({ kind: 'none' });
  await tree.write({ 'in/a.txt': 'changed\n', 'elsewhere/c.txt': 'c\n' });
  expect((await tree.change()).files.map((file) => file.path)).toEqual(['elsewhere/c.txt', 'in/a.txt']);
  await tree.remove();
});

test('a base that the repository does not have is reported', async () => {
  const { repository, worktrees, root } = await openLab();
  const base = 'a'.repeat(40);
  const made = worktrees.create({ projectPath: repository.path, worktreePath: path.join(root, 'w'), base });
  await expect(made).rejects.toMatchObject({
    code: 'git_failed',
    message: `The repository in ${repository.path} has no commit ${base}.`,
  });
});

test("created again, a worktree is found with its base and with the agent's edits", async () => {
  const { repository, create } = await openLab();
  const tree = await create();
  await tree.write({ 'work.txt': 'so far\n' });
  await rm(tree.file('.git'), { recursive: true });
  await repository.write({ 'later.txt': 'later\n' });
  await repository.commit();
  expect(await create()).toMatchObject({ state: 'found', base: tree.base, warnings: [] });
  expect(await gitIn(tree.worktreePath, 'status', '--porcelain')).toBe('?? work.txt');
});

test('the remains of an earlier task that was collected are replaced', async () => {
  const { create } = await openLab();
  const earlier = await create();
  await earlier.write({ 'earlier.txt': 'stored\n' });
  await earlier.change();
  const tree = await create();
  expect(tree.state).toBe('created');
  expect(await readdir(tree.worktreePath)).not.toContain('earlier.txt');
});

test("another task's uncollected work is not touched", async () => {
  const { repository, worktrees, root } = await openLab();
  const place = { projectPath: repository.path, worktreePath: path.join(root, 'w') };
  await worktrees.create({ ...place, owner: 'task-a' });
  await writeFile(path.join(root, 'w', 'work.txt'), 'work');
  await expect(worktrees.create({ ...place, owner: 'task-b' })).rejects.toMatchObject({ code: 'worktree_in_use' });
  expect(await readFile(path.join(root, 'w', 'work.txt'), 'utf8')).toBe('work');
});

test('a path with a file or folder of the user is refused and unchanged', async () => {
  const { repository, worktrees, root } = await openLab();
  const other = await makeRepository(path.join(root, 'other'));
  await mkdir(path.join(root, 'full'));
  await writeFile(path.join(root, 'full', 'mine.txt'), 'mine');
  await writeFile(path.join(root, 'file'), 'mine');
  await symlink(path.join(root, 'full'), path.join(root, 'link'));
  await repository.git('worktree', 'add', '--quiet', '--detach', path.join(root, 'users-own'));
  await worktrees.create({ projectPath: repository.path, worktreePath: path.join(root, 'home', 'ours') });
  const before = [await treeOf(root), await repository.git('worktree', 'list')];
  for (const name of ['other', 'full', 'file', 'link', 'users-own', 'project']) {
    const made = worktrees.create({ projectPath: repository.path, worktreePath: path.join(root, name) });
    await expect(made, name).rejects.toMatchObject({ code: 'worktree_in_use' });
    const removed = worktrees.remove({ projectPath: repository.path, worktreePath: path.join(root, name) });
    await expect(removed, name).rejects.toMatchObject({ code: 'worktree_in_use' });
  }
  expect([await treeOf(root), await repository.git('worktree', 'list')]).toEqual(before);
  expect(await other.git('status', '--porcelain')).toBe('');
});

test('uncommitted edits are not included, and a warning says so', async () => {
  const { repository, create, worktrees } = await openLab();
  expect(await worktrees.uncommittedEdits(repository.path)).toBeUndefined();
  await repository.write({ 'README.md': 'edited\n', 'new.txt': 'new\n' });
  // Only its time differs: a status that may write would note that in the user's index.
  await utimes(path.join(repository.path, 'src', 'main.js'), new Date(0), new Date(0));
  const before = await repository.fingerprint();
  const tree = await create();
  expect(await worktrees.uncommittedEdits(path.join(repository.path, 'src'))).toBe(
    `The checkout in ${repository.path} has 2 uncommitted edits: not included, the agent starts from the last commit.`,
  );
  expect(await readFile(tree.file('README.md'), 'utf8')).toBe(SAMPLE_FILES['README.md']);
  await tree.remove();
  expect(await repository.fingerprint()).toEqual(before);
});

test('a project is found by a folder in it, a linked worktree, a link, and with a detached checkout', async () => {
  const { repository, worktrees, root } = await openLab(undefined, 'my project – ünïcode');
  await symlink(repository.path, path.join(root, 'link'));
  await repository.git('checkout', '--quiet', '--detach');
  await repository.git('worktree', 'add', '--quiet', '--detach', path.join(root, 'linked'));
  const expected = { topLevel: repository.path, commonDir: path.join(repository.path, '.git') };
  expect(await worktrees.inspect(path.join(repository.path, 'src'))).toMatchObject(expected);
  expect(await worktrees.inspect(path.join(root, 'link'))).toMatchObject(expected);
  const linked = { ...expected, topLevel: path.join(root, 'linked') };
  expect(await worktrees.inspect(path.join(root, 'linked'))).toMatchObject(linked);
  const worktreePath = path.join(root, 'work tree ü');
  const made = await worktrees.create({ projectPath: path.join(root, 'linked'), worktreePath });
  expect(await worktrees.remove({ projectPath: repository.path, worktreePath: made.worktreePath })).toEqual({
    removed: true,
  });
});

test('reading a repository without git gives the same as git, in every ref format', async () => {
  const { repository, worktrees, root } = await openLab();
  const first = await repository.git('rev-parse', 'HEAD');
  const inspected = async (): Promise<unknown> => worktrees.inspect(repository.path);
  const expected = { topLevel: repository.path, commonDir: path.join(repository.path, '.git'), head: first };
  const ways: [string, () => Promise<unknown>][] = [
    ['as it was made', async () => undefined],
    ['on another branch', () => repository.git('checkout', '--quiet', '-b', 'feature/one-2')],
    ['its refs packed', () => repository.git('pack-refs', '--all')],
    ['on a branch with a dot', () => repository.git('checkout', '--quiet', '-b', 'v1.2')],
    ['detached', () => repository.git('checkout', '--quiet', '--detach')],
    ['with settings of its worktrees', () => repository.git('config', 'extensions.worktreeConfig', 'true')],
  ];
  for (const [way, change] of ways) {
    await change();
    expect(await inspected(), way).toEqual(expected);
  }
  const elsewhere = path.join(root, 'elsewhere');
  await mkdir(elsewhere);
  await repository.git('config', 'core.worktree', elsewhere);
  expect(await inspected()).toEqual({ ...expected, topLevel: elsewhere });
});

test('a path that is no project says what is wrong and what to do', async () => {
  const { repository, worktrees, root } = await openLab();
  await mkdir(path.join(root, 'plain'));
  const empty = await makeRepository(path.join(root, 'empty'), {});
  await repository.git('clone', '--quiet', '--bare', '.', path.join(root, 'bare.git'));
  const cases: [string | undefined, string, string][] = [
    ['', 'project_has_no_path', 'Project has no path — cannot create worktree'],
    [undefined, 'project_has_no_path', 'Project has no path'],
    [path.join(root, 'missing'), 'project_missing', 'does not exist on this host'],
    ['relative/path', 'project_missing', 'must be absolute'],
    [path.join(repository.path, 'README.md'), 'project_missing', 'is a file'],
    [path.join(root, 'plain'), 'not_a_repository', 'Run `git init`'],
    [path.join(root, 'bare.git'), 'not_a_repository', 'bare repository'],
    [path.join(repository.path, '.git'), 'not_a_repository', 'Give the path of a checkout'],
    [empty.path, 'empty_repository', 'Make a first commit there'],
  ];
  for (const [projectPath, code, words] of cases) {
    await expect(worktrees.inspect(projectPath), projectPath).rejects.toMatchObject({
      code,
      message: expect.stringContaining(words),
    });
  }
});

test('no hook of the repository runs', async () => {
  const { repository, root, create } = await openLab();
  const proof = path.join(root, 'hook-ran');
  for (const hook of ['post-checkout', 'pre-commit', 'post-commit', 'reference-transaction', 'post-index-change']) {
    const file = path.join(repository.path, '.git', 'hooks', hook);
    await writeFile(file, `#!/bin/sh\ntouch '${proof}'\n`);
    await chmod(file, 0o755);
  }
  const tree = await create();
  await tree.write({ 'new.txt': 'new\n' });
  await tree.change();
  await tree.reset();
  await tree.remove();
  await expect(stat(proof)).rejects.toThrow('ENOENT');
});

test("submodules are filled from the project's own copies, without a change to the project", async () => {
  const { repository, root, create } = await openLab();
  const library = await makeRepository(path.join(root, 'library'), { 'lib.js': 'lib\n' });
  const inner = await makeRepository(path.join(root, 'inner'), { 'inner.js': 'inner\n' });
  await library.git('submodule', '--quiet', 'add', inner.path, 'deep/inner');
  await library.commit();
  await repository.git('submodule', '--quiet', 'add', library.path, 'vendor/my lib');
  await repository.git('submodule', '--quiet', 'add', inner.path, 'never');
  await repository.git('submodule', '--quiet', 'update', '--init', '--recursive', 'vendor/my lib');
  await repository.commit();
  await repository.git('submodule', '--quiet', 'deinit', '--force', 'never');
  await rm(path.join(repository.path, '.git', 'modules', 'never'), { recursive: true });
  const before = await repository.fingerprint();
  const tree = await create();
  expect(await treeOf(tree.file('vendor'))).toEqual(await treeOf(path.join(repository.path, 'vendor')));
  expect(tree.warnings).toEqual([
    "Submodule never is empty in the agent's worktree: the project has not checked it out.",
  ]);
  expect(await gitIn(tree.worktreePath, 'status', '--porcelain')).toBe('');
  expect(await gitIn(tree.file('vendor/my lib'), 'remote', 'get-url', 'origin')).toBe(library.path);
  expect(await tree.collect()).toMatchObject({ kind: 'none' });
  await tree.remove();
  expect(await repository.fingerprint()).toEqual(before);
});

test('files of git-lfs are pointers if it is not installed, and are stored unchanged', async () => {
  const pointer = 'version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12\n';
  const { repository, create } = await openLab({ 'big.bin': pointer });
  await repository.write({ '.gitattributes': '*.bin filter=lfs diff=lfs merge=lfs -text\n' });
  await repository.commit();
  for (const [key, value] of [
    ['process', 'git-lfs filter-process'],
    ['required', 'true'],
  ]) {
    await repository.git('config', `filter.lfs.${key}`, value ?? '');
  }
  const tree = await create();
  const said = expect.stringContaining('git-lfs');
  expect(tree.warnings).toEqual(isInstalled('git-lfs') ? [] : [said]);
  expect(await readFile(tree.file('big.bin'), 'utf8')).toBe(pointer);
  await tree.write({ 'other.txt': 'other\n' });
  expect((await tree.change()).files.map((file) => file.path)).toEqual(['other.txt']);
});

function isInstalled(program: string): boolean {
  try {
    execFileSync(program, ['version']);
    return true;
  } catch {
    return false;
  }
}

test('an aborted creation leaves nothing that makes a second run fail', async () => {
  const { repository, worktrees, root, create } = await openLab();
  const projectPath = repository.path;
  const aborted = worktrees.create({
    projectPath,
    worktreePath: path.join(root, 'w'),
    signal: AbortSignal.abort(new Error('stopped')),
  });
  await expect(aborted).rejects.toThrow('stopped');
  const abort = new AbortController();
  const later = worktrees.create({ projectPath, worktreePath: path.join(root, 'w'), signal: abort.signal });
  // At any moment of the creation, which may also have ended by then.
  setTimeout(() => abort.abort(new Error('stopped')), 6);
  await later.catch((error: unknown) => expect(error).toMatchObject({ message: 'stopped' }));
  const made = await worktrees.create({ projectPath, worktreePath: path.join(root, 'w') });
  expect(await treeOf(made.worktreePath)).toEqual(await treeOf(repository.path));
  expect((await create('other')).state).toBe('created');
});
