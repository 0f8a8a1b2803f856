/** Lock files of git that a power cut or a kill left. */
import { readdir, stat, utimes, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { expect, test } from 'vitest';
import { gitIn, makeRepository } from '../lab/repositories.ts';
import { openLab } from './lab.ts';

const isThere = (file: string): Promise<boolean> =>
  stat(file).then(
    () => true,
    () => false,
  );

test.for([
  ['old', -60_000],
  ['new', 0],
  ['from the future', 3_600_000],
] as const)("a lock of the result's ref that is %s does not block the step", async ([, offsetMs]) => {
  const { repository, worktrees, create, inMirror, mirror } = await openLab();
  const tree = await create();
  await tree.write({ 'new.txt': 'new\n' });
  await tree.change();
  const lock = path.join(mirror, `${tree.ref}.lock`);
  const leave = async (): Promise<void> => {
    await writeFile(lock, '');
    const moment = new Date(Date.now() + offsetMs);
    await utimes(lock, moment, moment);
  };
  await leave();
  await tree.write({ 'new.txt': 'newer\n' });
  const { commit } = await tree.change();
  expect(await inMirror('rev-parse', tree.ref)).toBe(commit);
  await leave();
  await worktrees.deleteRef({ projectPath: repository.path, ref: tree.ref });
  expect(await inMirror('for-each-ref', 'refs/longhaul')).toBe('');
  expect(await isThere(lock)).toBe(false);
});

test("locks of the agent's killed tools are removed before the next attempt", async () => {
  const { root, repository, create, mirror } = await openLab();
  const library = await makeRepository(path.join(root, 'library'), { 'lib.js': 'one\n' });
  await repository.git('submodule', '--quiet', 'add', library.path, 'vendor');
  await repository.commit();
  const tree = await create();
  const own = tree.file('.git');
  await gitIn(tree.worktreePath, 'bisect', 'start');
  await gitIn(tree.worktreePath, 'bisect', 'bad');
  const locks = ['index.lock', 'HEAD.lock', 'refs/bisect/bad.lock', 'modules/vendor/index.lock'];
  for (const name of locks) await writeFile(path.join(own, name), '');
  await tree.write({ 'new.txt': 'new\n', 'vendor/new.js': 'new\n' });
  expect(await create()).toMatchObject({ state: 'found' });
  await gitIn(tree.worktreePath, 'add', 'new.txt');
  await gitIn(tree.file('vendor'), 'add', 'new.js');
  expect((await readdir(own, { recursive: true })).filter((name) => name.endsWith('.lock'))).toEqual([]);
  expect(await readdir(path.join(mirror, 'worktrees', 'task-1'))).toContain('locked');
});
