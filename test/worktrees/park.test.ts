import { execFileSync } from 'node:child_process';
import { lstatSync } from 'node:fs';
import { chmod, mkdir, readFile, readdir, rename, rm, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { expect, onTestFinished, test, vi } from 'vitest';
import { readRecord, writeRecord } from '../../worktrees/records.ts';
import { taskRef } from '../../worktrees/worktrees.ts';
import { type Files, gitIn, makeRepository, treeOf, writeFiles } from '../lab/repositories.ts';
import { type Lab, openLab } from './lab.ts';

const FILES: Files = { '.gitignore': 'node_modules/\n*.log\n', 'a.txt': 'a\n', 'src/b.txt': 'b\n' };

/** A task of the session: it gets the session's worktree, `work` runs in it, and it is collected and parked. */
async function task(lab: Lab, owner: string, options: { base?: string; work?: (folder: string) => Promise<unknown> }) {
  const worktreePath = path.join(lab.root, 'home', 'worktrees', 'session');
  const projectPath = lab.repository.path;
  const { base, work } = options;
  const made = await lab.worktrees.create({ projectPath, worktreePath, owner, ...(base !== undefined && { base }) });
  await work?.(worktreePath);
  const collecting = { projectPath, worktreePath, base: made.base, ref: taskRef(owner), message: 'Do it', owner };
  const collected = await lab.worktrees.collect(collecting);
  const parked = await lab.worktrees.park({ worktreePath, owner });
  const result = collected.kind === 'changed' ? collected.commit : made.base;
  return { made, collected, parked, result, worktreePath, collecting };
}

const inode = (folder: string): bigint => lstatSync(folder, { bigint: true }).ino;
const text = (folder: string, name: string): Promise<string> => readFile(path.join(folder, name), 'utf8');

/** The git commands that run until the test ends. */
async function loggedGit(lab: Lab): Promise<() => Promise<string[]>> {
  const real = execFileSync('sh', ['-c', 'command -v git'], { encoding: 'utf8' }).trim();
  const [folder, log] = [path.join(lab.root, 'bin'), path.join(lab.root, 'git.log')];
  await mkdir(folder);
  await writeFile(log, '');
  await writeFile(path.join(folder, 'git'), `#!/bin/sh\necho "$@" >> '${log}'\nexec ${real} "$@"\n`, { mode: 0o755 });
  vi.stubEnv('PATH', `${folder}:${process.env['PATH']}`);
  onTestFinished(() => void vi.unstubAllEnvs());
  return async () => (await readFile(log, 'utf8')).split('\n').filter(Boolean);
}

test("a session's next task begins in the parked worktree: its result and ignored files are there, without a git process", async () => {
  const lab = await openLab(FILES);
  const first = await task(lab, 'one', {
    work: (folder) =>
      writeFiles(folder, { 'a.txt': 'ours\n', 'new/c.txt': 'new\n', 'node_modules/x/y.js': 'y', 'x.log': 'log' }),
  });
  expect(first).toMatchObject({ parked: true, collected: { kind: 'changed' } });
  const folder = inode(first.worktreePath);
  const git = await loggedGit(lab);
  const second = await lab.worktrees.create({
    projectPath: lab.repository.path,
    worktreePath: first.worktreePath,
    owner: 'two',
    base: first.result,
  });
  expect(await git()).toEqual([]);
  expect(second).toMatchObject({ state: 'parked', base: first.result, warnings: [] });
  expect(inode(first.worktreePath)).toBe(folder);
  expect(await text(first.worktreePath, 'a.txt')).toBe('ours\n');
  expect(await text(first.worktreePath, 'node_modules/x/y.js')).toBe('y');
  expect(await gitIn(first.worktreePath, 'status', '--porcelain', '--branch')).toBe('## HEAD (no branch)');
  expect(await gitIn(first.worktreePath, 'rev-parse', 'HEAD')).toBe(first.result);
  expect(await lab.worktrees.findOwned('one')).toBeUndefined();
  expect(await lab.worktrees.findOwned('two')).toMatchObject({ state: 'ready', base: first.result });
});

test('the change of the next task has only its own edits, and names only its own ignored files', async () => {
  const lab = await openLab(FILES);
  const first = await task(lab, 'one', {
    work: (folder) => writeFiles(folder, { 'a.txt': 'ours\n', 'node_modules/x.js': 'x' }),
  });
  const second = await task(lab, 'two', {
    base: first.result,
    work: (folder) => writeFiles(folder, { 'src/b.txt': 'second\n', 'late.log': 'log' }),
  });
  expect(first.collected).toMatchObject({ notes: [expect.stringContaining('node_modules/')] });
  expect(second.collected).toMatchObject({
    kind: 'changed',
    files: [{ path: 'src/b.txt' }],
    notes: ['1 ignored file was left out of the change: late.log.'],
  });
  expect(await lab.inMirror('show', `${second.result}:a.txt`)).toBe('ours');
  const third = await task(lab, 'three', { base: second.result });
  expect(third).toMatchObject({ collected: { kind: 'none', notes: [] }, parked: true });
});

test('from another commit only the files that differ are written', async () => {
  const lab = await openLab(FILES);
  const first = await task(lab, 'one', {
    work: (folder) => writeFiles(folder, { 'a.txt': 'ours\n', 'new.txt': 'new\n', 'node_modules/x.js': 'x' }),
  });
  const untouched = await stat(path.join(first.worktreePath, 'src/b.txt'));
  await lab.repository.write({ 'a.txt': 'the user\n', 'later.txt': 'later\n' });
  const head = await lab.repository.commit();
  const second = await task(lab, 'two', {});
  expect(second.made).toMatchObject({ state: 'parked', base: head });
  expect(second.collected).toMatchObject({ kind: 'none' });
  const tree = await treeOf(first.worktreePath);
  expect(Object.keys(tree).filter((name) => !name.startsWith('.git/')).sort()).toEqual(['.gitignore', 'a.txt', 'later.txt', 'node_modules/x.js', 'src/b.txt']); // prettier-ignore
  expect(await text(first.worktreePath, 'a.txt')).toBe('the user\n');
  expect((await stat(path.join(first.worktreePath, 'src/b.txt'))).ctimeMs).toBe(untouched.ctimeMs);
  expect(await gitIn(first.worktreePath, 'rev-parse', 'main')).toBe(head);
});

test('files that the new base no longer ignores are removed, so they are in no change', async () => {
  const lab = await openLab(FILES);
  await task(lab, 'one', { work: (folder) => writeFiles(folder, { 'x.log': 'log', 'node_modules/x.js': 'x' }) });
  await lab.repository.write({ '.gitignore': 'node_modules/\n' });
  await lab.repository.commit();
  const second = await task(lab, 'two', {});
  expect(second).toMatchObject({ made: { state: 'parked' }, collected: { kind: 'none' } });
  expect(await readdir(second.worktreePath)).not.toContain('x.log');
  expect(await text(second.worktreePath, 'node_modules/x.js')).toBe('x');
});

test('nothing that an agent did with git is left for the next task', async () => {
  const lab = await openLab(FILES);
  const git = (folder: string, ...args: string[]): Promise<string> => gitIn(folder, ...args);
  const first = await task(lab, 'one', {
    async work(folder) {
      await git(folder, 'config', 'user.email', 'bot@example.test');
      await git(folder, 'checkout', '--quiet', '-b', 'topic');
      await writeFiles(folder, { 'a.txt': 'topic\n' });
      await git(folder, 'commit', '--quiet', '--all', '--message', 'topic');
      await git(folder, 'checkout', '--quiet', '--detach', 'main');
      await writeFiles(folder, { 'a.txt': 'other\n' });
      await git(folder, 'commit', '--quiet', '--all', '--message', 'other');
      await writeFiles(folder, { 'src/b.txt': 'stashed\n' });
      await git(folder, 'stash');
      await expect(git(folder, 'merge', 'topic')).rejects.toThrow();
      await writeFiles(folder, { '.git/index.lock': '', '.git/hooks/pre-commit': 'exit 1' });
    },
  });
  expect(first.parked).toBe(true);
  const { made } = await task(lab, 'two', { base: first.result });
  expect(made.state).toBe('parked');
  const at = first.worktreePath;
  expect(await git(at, 'stash', 'list')).toBe('');
  expect(await git(at, 'for-each-ref', '--format=%(refname)', 'refs/heads')).toBe('refs/heads/main');
  expect(await git(at, 'config', '--get-all', 'user.email').catch(() => 'none')).not.toContain('bot@');
  expect(await readdir(path.join(at, '.git'))).not.toContain('MERGE_HEAD');
  expect(await readdir(path.join(at, '.git'))).not.toContain('index.lock');
  expect(await readdir(path.join(at, '.git/hooks'))).toEqual([]);
});

const DAMAGE: Readonly<Record<string, (lab: Lab, worktreePath: string) => Promise<unknown>>> = {
  'its folder was removed': (_lab, at) => rm(at, { recursive: true }),
  'the mirror was removed': (lab) => rm(lab.mirror, { recursive: true }),
  'its entry was removed': (lab) => rm(path.join(lab.mirror, 'worktrees'), { recursive: true }),
  'the index of its entry was damaged': (lab) => writeFile(path.join(lab.mirror, 'worktrees/session/index'), 'DIRC'),
  'its own repository was removed': (_lab, at) => rm(path.join(at, '.git'), { recursive: true }),
  'its record was cut off': async (lab) => {
    const [name = ''] = (await readdir(lab.locksDir)).filter((one) => one.endsWith('.worktree.json'));
    await writeFile(path.join(lab.locksDir, name), '{"worktree');
  },
  'the ref of its result was removed, and garbage of the mirror was collected': async (lab) => {
    await lab.inMirror('update-ref', '-d', taskRef('one'));
    await lab.inMirror('gc', '--quiet', '--prune=now');
  },
  "the project's settings changed": (lab) => lab.repository.git('config', 'core.autocrlf', 'input'),
};

test.each(Object.keys(DAMAGE))('the next task has a whole worktree although %s', async (name) => {
  const lab = await openLab(FILES);
  const first = await task(lab, 'one', {
    work: (at) => writeFiles(at, { 'one.txt': 'one\n', 'node_modules/x.js': 'x' }),
  });
  await DAMAGE[name]?.(lab, first.worktreePath);
  const second = await task(lab, 'two', { work: (at) => writeFiles(at, { 'a.txt': 'second\n' }) });
  expect(second.collected).toMatchObject({ kind: 'changed', files: [{ path: 'a.txt' }] });
  expect(await text(second.worktreePath, 'src/b.txt')).toBe('b\n');
  expect(second.parked).toBe(true);
});

test('a step that is killed while it gives the worktree to a task leaves a record after which a new one is made', async () => {
  const lab = await openLab(FILES);
  const first = await task(lab, 'one', { work: (at) => writeFiles(at, { 'a.txt': 'ours\n' }) });
  const record = readRecord(lab.locksDir, first.worktreePath);
  if (record === undefined) throw new Error('no record');
  await writeFiles(first.worktreePath, { 'a.txt': 'half' });
  writeRecord(lab.locksDir, { ...record, state: 'making', owner: 'two' });
  const second = await task(lab, 'two', { base: first.result });
  expect(second).toMatchObject({ made: { state: 'created' }, collected: { kind: 'none' } });
  expect(await text(first.worktreePath, 'a.txt')).toBe('ours\n');
});

test('two tasks that ask at once never get the same parked worktree', async () => {
  const lab = await openLab(FILES);
  const first = await task(lab, 'one', {});
  const { worktreePath } = first;
  const create = (owner: string) => lab.worktrees.create({ projectPath: lab.repository.path, worktreePath, owner });
  const [two, three] = await Promise.allSettled([create('two'), create('three')]);
  expect([two.status, three.status].sort()).toEqual(['fulfilled', 'rejected']);
  const [refused] = [two, three].filter((one) => one.status === 'rejected');
  expect(refused).toMatchObject({ reason: { code: 'worktree_in_use' } });
});

test('collecting and parking can be repeated, and give the same commit', async () => {
  const lab = await openLab(FILES);
  const first = await task(lab, 'one', { work: (at) => writeFiles(at, { 'a.txt': 'ours\n', 'new.txt': 'new\n' }) });
  const again = await lab.worktrees.collect(first.collecting);
  expect(again).toMatchObject({ kind: 'changed', commit: first.result });
  expect(await lab.worktrees.park({ worktreePath: first.worktreePath, owner: 'one' })).toBe(true);
  expect(await lab.worktrees.park({ worktreePath: first.worktreePath, owner: 'one' })).toBe(true);
  const second = await task(lab, 'two', { base: first.result });
  expect(second).toMatchObject({ made: { state: 'parked' }, collected: { kind: 'none' } });
});

test('a worktree that is not collected, or belongs to another task, is not parked', async () => {
  const lab = await openLab(FILES);
  const worktreePath = path.join(lab.root, 'home', 'worktrees', 'session');
  await lab.worktrees.create({ projectPath: lab.repository.path, worktreePath, owner: 'one' });
  expect(await lab.worktrees.park({ worktreePath, owner: 'one' })).toBe(false);
  expect(await lab.worktrees.park({ worktreePath, owner: 'two' })).toBe(false);
  expect(await lab.worktrees.findOwned('one')).toMatchObject({ state: 'ready' });
});

const NOT_PARKED: Readonly<Record<string, (lab: Lab, at: string) => Promise<unknown>>> = {
  'a repository that the agent made in it': (_lab, at) => makeRepository(path.join(at, 'nested')),
  'a named pipe': async (_lab, at) => execFileSync('mkfifo', [path.join(at, 'pipe')]),
};

test.each(Object.keys(NOT_PARKED))('a worktree with %s is not parked', async (name) => {
  const lab = await openLab(FILES);
  const first = await task(lab, 'one', { work: (at) => NOT_PARKED[name]?.(lab, at) ?? Promise.resolve() });
  expect(first.parked).toBe(false);
});

test('edits by hand in a parked worktree are stored before other files take their place, and before it is removed', async () => {
  const lab = await openLab(FILES);
  const first = await task(lab, 'one', { work: (at) => writeFiles(at, { 'a.txt': 'ours\n' }) });
  await writeFiles(first.worktreePath, { 'src/b.txt': 'by hand\n' });
  const second = await task(lab, 'two', {});
  expect(second.made.warnings).toEqual([expect.stringContaining('refs/longhaul/left/one')]);
  expect(second.collected).toMatchObject({ kind: 'none' });
  expect(await lab.inMirror('show', 'refs/longhaul/left/one:src/b.txt')).toBe('by hand');
  await writeFiles(first.worktreePath, { 'a.txt': 'by hand, too\n' });
  expect(await lab.worktrees.removeParked({ worktreePath: first.worktreePath })).toBe('removed');
  expect(await lab.inMirror('show', 'refs/longhaul/left/two:a.txt')).toBe('by hand, too');
  expect(await readdir(path.join(lab.root, 'home', 'worktrees'))).toEqual([]);
});

test('a removal that was interrupted is completed, and what it removed is not stored as an edit by hand', async () => {
  const lab = await openLab(FILES);
  const { worktreePath } = await task(lab, 'one', {});
  const record = readRecord(lab.locksDir, worktreePath);
  if (record === undefined) throw new TypeError('a parked worktree has a record');
  // As a kill leaves it, after the first file was removed.
  writeRecord(lab.locksDir, { ...record, state: 'making' });
  await rm(path.join(worktreePath, 'a.txt'));
  expect(await lab.worktrees.removeParked({ worktreePath })).toBe('removed');
  expect(readRecord(lab.locksDir, worktreePath)).toBeUndefined();
  expect(await lab.inMirror('for-each-ref', 'refs/longhaul/left')).toBe('');
  expect(await readdir(path.join(lab.root, 'home', 'worktrees'))).toEqual([]);
});

test('a worktree that a task has is not removed as a parked one', async () => {
  const lab = await openLab(FILES);
  const { worktreePath } = await task(lab, 'one', {});
  await lab.worktrees.create({ projectPath: lab.repository.path, worktreePath, owner: 'two' });
  expect(await lab.worktrees.removeParked({ worktreePath })).toBe('in_use');
  expect(await text(worktreePath, 'a.txt')).toBe('a\n');
});

test('another folder in the place of a parked worktree is neither used nor removed', async () => {
  const lab = await openLab(FILES);
  const { worktreePath } = await task(lab, 'one', {});
  await rename(worktreePath, `${worktreePath}-moved`);
  await writeFiles(worktreePath, { 'mine.txt': 'mine' });
  const create = lab.worktrees.create({ projectPath: lab.repository.path, worktreePath, owner: 'two' });
  await expect(create).rejects.toMatchObject({ code: 'worktree_replaced' });
  await expect(lab.worktrees.removeParked({ worktreePath })).rejects.toMatchObject({ code: 'worktree_replaced' });
  expect(await readdir(worktreePath)).toEqual(['mine.txt']);
});

test('file modes and read-only folders of ignored files are kept', async () => {
  const lab = await openLab(FILES);
  const first = await task(lab, 'one', {
    async work(at) {
      await writeFiles(at, { 'node_modules/bin/tool': { mode: 0o755, content: '#!/bin/sh\n' }, 'run.sh': { mode: 0o755, content: '#!/bin/sh\n' } }); // prettier-ignore
      await chmod(path.join(at, 'node_modules/bin'), 0o555);
    },
  });
  await task(lab, 'two', { base: first.result });
  expect((await stat(path.join(first.worktreePath, 'node_modules/bin/tool'))).mode & 0o777).toBe(0o755);
  expect((await stat(path.join(first.worktreePath, 'run.sh'))).mode & 0o777).toBe(0o755);
  await chmod(path.join(first.worktreePath, 'node_modules/bin'), 0o755);
});
