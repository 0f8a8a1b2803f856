/** `longhaul fetch`: the one command that writes a ref of the user's repository. */
import { expect, test } from 'vitest';
import { gitIn, writeFiles } from '../lab/repositories.ts';
import { openDiffLab } from './diff-lab.ts';

const { lab, newProject, changed } = await openDiffLab();

test("fetch brings a result and the agent's branches into the project as refs, and nothing else", async () => {
  const project = await newProject({ 'a.txt': 'a\n' });
  const { repository } = project;
  const task = await changed(project, async (worktree) => {
    await writeFiles(worktree, { 'new.txt': 'new\n' });
    await gitIn(worktree, 'checkout', '--quiet', '-b', 'agents-own');
    await gitIn(worktree, 'commit', '--quiet', '--allow-empty', '--message', 'By the agent');
  });
  const before = await repository.fingerprint();
  await expect(repository.git('cat-file', '-e', task.commit)).rejects.toThrow();
  const ref = `refs/longhaul/tasks/${task.taskId}`;
  const { code, stdout, stderr } = await lab.longhaul(lab.root, 'fetch', task.taskId.slice(0, 8));
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  expect(stdout.toString()).toContain(`${ref} is ${task.commit.slice(0, 12)} in ${repository.path}\n`);
  expect(await repository.git('show', `${ref}:new.txt`)).toBe('new');
  const branch = `refs/longhaul/branches/${task.taskId}/agents-own`;
  expect(await repository.git('log', '-1', '--format=%s', branch)).toBe('By the agent');
  expect(await repository.fingerprint()).toEqual(before);
  const again = await lab.longhaul(lab.root, 'fetch', task.taskId, '--json');
  expect(JSON.parse(again.stdout.toString())).toMatchObject({ refs: [{ ref: branch }, { ref, commit: task.commit }] });
  await repository.git('cherry-pick', '--no-commit', ref);
  expect(await repository.git('status', '--porcelain')).toBe('A  new.txt');
});

test('fetch of a task without a result says so', async () => {
  const project = await newProject({ 'a.txt': 'a\n' });
  const task = await changed(project, (worktree) => writeFiles(worktree, { 'new.txt': 'new\n' }));
  await project.results('update-ref', '-d', `refs/longhaul/tasks/${task.taskId}`);
  const { code, stderr } = await lab.longhaul(lab.root, 'fetch', task.taskId);
  expect(code).toBe(2);
  expect(stderr).toContain(`Task ${task.taskId.slice(0, 8)} has no result`);
});
