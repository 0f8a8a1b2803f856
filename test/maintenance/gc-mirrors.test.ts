import { mkdir, readdir, rm, writeFile } from 'node:fs/promises';
import { randomBytes } from 'node:crypto';
import path from 'node:path';
import { expect, test } from 'vitest';
import { checkMirrors } from '../../maintenance/doctor/mirrors.ts';
import { findLeftoverMirrors } from '../../maintenance/gc/mirrors.ts';
import { mirrorDisk } from '../../worktrees/trim-mirror.ts';
import { gitIn } from '../lab/repositories.ts';
import { type Lab, openLab } from '../worktrees/lab.ts';

const placesOf = ({ root, locksDir }: Lab) => ({ locksDir, root: path.join(root, 'home', 'worktrees') });

test('the mirror of a project that no longer exists is removed, unless a worktree or a result needs it', async () => {
  const lab = await openLab();
  const { repository, mirror, worktrees, create } = lab;
  const found = async (projects: string[] = []): Promise<string[]> =>
    (await findLeftoverMirrors(placesOf(lab), projects)).map(({ name }) => name);
  const tree = await create();
  await tree.write({ 'new.txt': 'new\n' });
  expect(await found()).toEqual([]);
  await rm(repository.path, { recursive: true });
  expect(await found(), 'a worktree borrows from it').toEqual([]);
  await tree.change();
  await tree.remove();
  expect(await found(), 'a result is in it').toEqual([]);
  await worktrees.deleteRef({ projectPath: mirror, ref: tree.ref });
  expect(await found([repository.path]), 'a row names the project').toEqual([]);
  expect(await found([path.join(repository.path, 'packages/app')]), 'a row names a folder in it').toEqual([]);
  const [left] = await findLeftoverMirrors(placesOf(lab), []);
  expect(left).toMatchObject({ kind: 'mirror', name: mirror });
  expect(await left?.remove()).toEqual({ kind: 'removed' });
  expect(await readdir(path.dirname(mirror))).toEqual([]);
});

test('the mirror of a project that no row names is removed, although the repository exists', async () => {
  const lab = await openLab();
  await (await lab.create()).remove();
  expect(await findLeftoverMirrors(placesOf(lab), [lab.repository.path])).toEqual([]);
  const [left] = await findLeftoverMirrors(placesOf(lab), []);
  expect(left?.reason).toContain('no project names');
  expect(await left?.remove()).toEqual({ kind: 'removed' });
  expect(await lab.repository.git('status', '--porcelain')).toBe('');
});

/** 2 MB that do not compress, in files of the project, then a gc after an amend: the former pack stays in the mirror. */
async function replacePacks({ repository }: Lab, name: string): Promise<void> {
  await repository.write({ [name]: randomBytes(1024 * 1024).toString('base64') });
  await repository.commit(name);
  await repository.git('gc', '--quiet', '--prune=now');
}

test('packs that a gc of the user has replaced are trimmed: results, and what a worktree began from, stay', async () => {
  const lab = await openLab();
  const { repository, mirror, create, inMirror } = lab;
  await replacePacks(lab, 'large-0');
  const first = await create('first');
  await first.write({ 'new.txt': 'new\n' });
  const { commit } = await first.change();
  await first.remove();
  const borrower = await create('borrower'); // it stays, with a ref that the user rewrites
  for (let round = 1; round <= 3; round += 1) {
    await repository.write({ 'large-0': randomBytes(1024 * 1024).toString('base64') });
    await repository.git('commit', '--quiet', '--all', '--amend', '--message', `Amended ${round}`);
    await repository.git('reflog', 'expire', '--expire=now', '--all');
    await repository.git('gc', '--quiet', '--prune=now');
    await (await create(`round-${round}`)).remove();
  }
  const before = mirrorDisk(mirror);
  expect(before.formerBytes).toBeGreaterThan(3 * 1024 * 1024);
  const limit = 1024 * 1024;
  expect(await findLeftoverMirrors(placesOf(lab), [repository.path])).toEqual([]); // below the usual limit
  const [, told] = await checkMirrors(path.join(lab.root, 'home'), limit);
  expect(told).toMatchObject({ name: 'mirrors', level: 'warning' });
  const [left] = await findLeftoverMirrors(placesOf(lab), [repository.path], limit);
  expect(left?.reason).toContain('that a git gc of its project has replaced');
  expect(await left?.remove()).toMatchObject({ kind: 'removed' });
  // What is left is the one former commit that the worktree and the result began from.
  expect(mirrorDisk(mirror).ownBytes).toBeLessThan(before.ownBytes / 2);
  expect(await findLeftoverMirrors(placesOf(lab), [repository.path], limit), 'trimmed once').toEqual([]);
  expect(await inMirror('rev-parse', first.ref)).toBe(commit);
  await inMirror('fsck', '--full');
  await gitIn(borrower.worktreePath, 'fsck', '--full');
  expect(await inMirror('for-each-ref', 'refs/longhaul/kept')).toBe('');
  expect((await readdir(path.join(mirror, 'objects/pack'))).filter((name) => name.endsWith('.keep'))).toEqual([]);
  await borrower.write({ 'more.txt': 'more\n' });
  expect((await borrower.change()).files).toMatchObject([{ path: 'more.txt' }]);
  await repository.git('fsck', '--full');
});

test('tasks work while their mirror is trimmed again and again', async () => {
  const lab = await openLab();
  const { repository, create, inMirror } = lab;
  await replacePacks(lab, 'large-0');
  const over = new AbortController();
  const trimming = (async () => {
    let count = 0;
    for (; !over.signal.aborted; count += 1) {
      await replacePacks(lab, 'large-0');
      for (const left of await findLeftoverMirrors(placesOf(lab), [repository.path], 0)) await left.remove();
    }
    return count;
  })();
  const refs: string[] = [];
  try {
    for (let at = 0; at < 8; at += 1) {
      const tree = await create(`task-${at}`);
      await tree.write({ 'new.txt': `${at}\n` });
      await gitIn(tree.worktreePath, 'checkout', '--quiet', '-b', `agent-${at}`);
      await gitIn(tree.worktreePath, 'commit', '--quiet', '--allow-empty', '--message', 'By the agent');
      await tree.change();
      await tree.remove();
      refs.push(tree.ref);
    }
  } finally {
    over.abort();
  }
  expect(await trimming).toBeGreaterThan(0);
  for (const [at, ref] of refs.entries()) expect(await inMirror('show', `${ref}:new.txt`)).toBe(String(at));
  await inMirror('fsck', '--full');
});

test('a damaged mirror is named by doctor and repaired by gc; a result that is lost with it is named, too', async () => {
  const lab = await openLab();
  const home = path.join(lab.root, 'home');
  const tree = await lab.create();
  await tree.write({ 'new.txt': 'new\n' });
  await tree.change();
  await tree.remove();
  expect(await checkMirrors(home)).toEqual([
    { name: 'mirrors', level: 'ok', detail: expect.stringMatching(/^1, which take [\d.]+ MB/) as string },
  ]);
  await rm(path.join(lab.mirror, 'HEAD'));
  const told = async () => (await checkMirrors(home)).slice(1).map(({ detail }) => detail);
  expect(await told()).toEqual([expect.stringContaining('git finds no complete repository in it')]);
  const repair = async () => {
    const [left] = await findLeftoverMirrors(placesOf(lab), [lab.repository.path]);
    return left?.remove();
  };
  expect(await repair()).toEqual({ kind: 'removed', note: 'the mirror is repaired' });
  expect(await told()).toEqual([]);
  await rm(path.join(lab.mirror, 'objects'), { recursive: true });
  await mkdir(path.join(lab.mirror, 'objects'));
  await writeFile(path.join(lab.mirror, 'longhaul.json'), '');
  expect(await repair()).toMatchObject({ kind: 'kept' }); // its state named the project
  await (await lab.create('next')).remove();
  expect(await repair()).toMatchObject({ kind: 'kept', why: expect.stringContaining(tree.ref) as string });
  expect(await told()).toEqual([expect.stringContaining(`it lacks objects of the result ${tree.ref}`)]);
});
