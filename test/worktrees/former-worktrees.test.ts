/** Worktrees and results of earlier versions: entries and refs of the project itself. They end in their own way. */
import { mkdir, readdir, readFile, rm, stat } from 'node:fs/promises';
import path from 'node:path';
import { expect, test } from 'vitest';
import { identityOf } from '../../worktrees/identity.ts';
import { writeRecord } from '../../worktrees/records.ts';
import { gitIn } from '../lab/repositories.ts';
import { type AgentTree, agentTree, type Lab, openLab } from './lab.ts';

/** As an earlier version made it. */
async function formerTree(lab: Lab, name = 'task-1'): Promise<AgentTree> {
  const { repository, worktrees, locksDir, root } = lab;
  const worktreePath = path.join(root, 'home/worktrees/sessions', name);
  await mkdir(path.dirname(worktreePath), { recursive: true });
  const reason = 'Longhaul: an agent works here';
  await repository.git('worktree', 'add', '--quiet', '--detach', '--lock', '--reason', reason, worktreePath);
  const base = await repository.git('rev-parse', 'HEAD');
  const commonDir = path.join(repository.path, '.git');
  const identity = identityOf(worktreePath);
  writeRecord(locksDir, { worktreePath, topLevel: repository.path, commonDir, base, state: 'ready', identity });
  return agentTree(worktrees, repository.path, { state: 'created', worktreePath, base, warnings: [] });
}

const entries = ({ repository }: Lab): Promise<string[]> =>
  readdir(path.join(repository.path, '.git/worktrees')).catch(() => []);

test('one is found by the next attempt, collected into the project, and removed with its entry', async () => {
  const lab = await openLab();
  const tree = await formerTree(lab);
  await tree.write({ 'new.txt': 'new\n' });
  expect(await lab.create()).toMatchObject({ state: 'found', base: tree.base });
  const { commit } = await tree.change();
  expect(await lab.repository.git('rev-parse', tree.ref)).toBe(commit);
  expect(await lab.worktrees.resultCommit({ projectPath: lab.repository.path, ref: tree.ref })).toBe(commit);
  await tree.remove();
  expect(await entries(lab)).toEqual([]);
  await lab.worktrees.deleteRef({ projectPath: lab.repository.path, ref: tree.ref });
  expect(await lab.repository.git('for-each-ref', 'refs/longhaul')).toBe('');
});

test('one that starts over is made anew on the mirror', async () => {
  const lab = await openLab();
  const tree = await formerTree(lab);
  await tree.write({ 'new.txt': 'new\n' });
  await tree.reset();
  expect(await entries(lab)).toEqual([]);
  expect((await stat(tree.file('.git'))).isDirectory()).toBe(true);
  await tree.write({ 'other.txt': 'other\n' });
  const { commit, files } = await tree.change();
  expect(files).toMatchObject([{ path: 'other.txt' }]);
  expect(await lab.inMirror('rev-parse', tree.ref)).toBe(commit);
});

test('one that was collected makes room for the next task, which begins from the result in the project', async () => {
  const lab = await openLab();
  await (await lab.create('other')).remove(); // the mirror was made before the result
  const tree = await formerTree(lab);
  await tree.write({ 'new.txt': 'new\n' });
  const { commit } = await tree.change();
  const made = await lab.worktrees.create({
    projectPath: lab.repository.path,
    worktreePath: tree.worktreePath,
    base: commit,
  });
  expect(made).toMatchObject({ state: 'created', base: commit });
  expect(await readFile(tree.file('new.txt'), 'utf8')).toBe('new\n');
  expect(await entries(lab)).toEqual([]);
});

test('without a record it is known by its entry', async () => {
  const lab = await openLab();
  const tree = await formerTree(lab);
  await rm(lab.locksDir, { recursive: true });
  await tree.write({ 'new.txt': 'new\n' });
  expect((await tree.change()).files).toMatchObject([{ path: 'new.txt' }]);
  expect(await tree.remove()).toEqual({ removed: true });
  expect(await gitIn(lab.repository.path, 'worktree', 'list')).not.toContain('sessions');
});
