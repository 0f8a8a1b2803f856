/** `longhaul diff --session`: the sum of a session's changes. */
import { rm } from 'node:fs/promises';
import path from 'node:path';
import { expect, test } from 'vitest';
import { takeLines } from '../../cli/diff.ts';
import { endLines } from '../../cli/end-text.ts';
import { APPLY } from '../../cli/apply-recipe.ts';
import { describe, taskBuiltOn } from '../../client/tasks.ts';
import { writeFiles } from '../lab/repositories.ts';
import { type QueuedTask, treeIdOf } from './change-lab.ts';
import { openDiffLab } from './diff-lab.ts';

const { lab, newProject, changed, checkout, treeOf, jsonOf } = await openDiffLab();

test("--session prints the sum of the session's tasks, from the first base", async () => {
  const project = await newProject({ 'a.txt': 'a\n', 'b.txt': 'b\n' });
  const first = await changed(project, (worktree) => writeFiles(worktree, { 'a.txt': 'A\n', 'new.txt': 'new\n' }));
  const second = await changed(
    project,
    (worktree) => writeFiles(worktree, { 'b.txt': 'B\n', 'new.txt': 'newer\n' }),
    first,
  );
  expect((await jsonOf(second.taskId))['files']).toMatchObject([
    { path: 'b.txt' },
    { path: 'new.txt', status: 'modified' },
  ]);
  expect(await jsonOf('--session', first.taskId)).toMatchObject({
    session_id: first.sessionId,
    base_commit: first.base,
    result_commit: second.commit,
    changes: 2,
    earlier_changes: 0,
    files: [{ path: 'a.txt' }, { path: 'b.txt' }, { path: 'new.txt', status: 'added', additions: 1 }],
    diff_truncated: false,
  });
  const mine = await checkout(project, first.base);
  expect(await lab.take(mine, '--session', second.taskId)).toMatchObject({ code: 0, stderr: '' });
  expect(await treeIdOf(mine)).toBe(await treeOf(project, second.commit));
});

test('--session omits the changes before the session began anew, and reports that', async () => {
  const project = await newProject({ 'a.txt': 'a\n' });
  const first = await changed(project, (worktree) => writeFiles(worktree, { 'old.txt': 'old\n' }));
  const base = await project.repository.git('rev-parse', 'HEAD');
  const anew = await changed(project, (worktree) => writeFiles(worktree, { 'b.txt': 'b\n' }), {
    ...first,
    commit: base,
  });
  const { code, stdout, stderr } = await lab.longhaul(lab.root, 'diff', '--session', anew.taskId);
  expect({ code, stderr }).toEqual({
    code: 0,
    stderr:
      'longhaul: the session started again from the project after 1 earlier change; this sum does not include it.\n',
  });
  expect(stdout.toString()).not.toContain('old.txt');
});

test('--session takes the id of the session; the change of a removed task is in the sum, by the parent of its commit', async () => {
  const project = await newProject({ 'a.txt': 'a\n' });
  const first = await changed(project, (worktree) => writeFiles(worktree, { 'removed.txt': 'removed\n' }));
  const second = await changed(project, (worktree) => writeFiles(worktree, { 'b.txt': 'B\n' }), first);
  const whole = await jsonOf('--session', first.sessionId.slice(0, 8));
  expect(whole).toMatchObject({ base_commit: first.base, changes: 2, begins_after_removed_task: false });
  expect(await lab.longhaul(lab.root, 'rm', first.taskId, '--yes')).toMatchObject({ code: 0 });
  const mine = await checkout(project, first.base);
  expect(await lab.take(mine, '--session', second.taskId)).toMatchObject({ code: 0, stderr: '' });
  expect(await treeIdOf(mine)).toBe(await treeOf(project, second.commit));
  expect(await jsonOf('--session', second.taskId)).toMatchObject({
    base_commit: first.base,
    begins_after_removed_task: false,
  });
});

test('--session reports that the change of a removed task is not in the sum if git no longer has its base', async () => {
  const project = await newProject({ 'a.txt': 'a\n' });
  const first = await changed(project, (worktree) => writeFiles(worktree, { 'removed.txt': 'removed\n' }));
  const second = await changed(project, (worktree) => writeFiles(worktree, { 'b.txt': 'B\n' }), first);
  expect(await lab.longhaul(lab.root, 'rm', first.taskId, '--yes')).toMatchObject({ code: 0 });
  const { path: folder } = project.repository;
  for (const dir of [path.join(folder, '.git'), await project.results('rev-parse', '--absolute-git-dir')])
    await rm(path.join(dir, 'objects', first.base.slice(0, 2), first.base.slice(2)));
  const { code, stderr } = await lab.longhaul(lab.root, 'diff', '--session', second.taskId);
  expect({ code, stderr }).toEqual({
    code: 0,
    stderr: `longhaul: an earlier task of the session was removed; this sum does not include its change and begins at its result ${first.commit}.\n`,
  });
  expect(await jsonOf('--session', second.taskId)).toMatchObject({ changes: 1, begins_after_removed_task: true });
});

test('--session names a task whose work was kept and is not in the sum; for the id of a session alone the message says what to do', async () => {
  const project = await newProject({ 'a.txt': 'a\n' });
  const first = await changed(project, (worktree) => writeFiles(worktree, { 'a.txt': 'A\n' }));
  const { sql } = lab.database;
  const [kept] = await sql<{ id: string }[]>`
    INSERT INTO tasks (project_id, session_id, input, state, ended_at, kept_worktree)
    SELECT project_id, session_id, 'more', 'completed', now(), '/home/me/kept' FROM tasks WHERE id = ${first.taskId}
    RETURNING id`;
  const id = kept?.id.slice(0, 8) ?? '';
  const session = first.sessionId.slice(0, 8);
  const { code, stdout, stderr } = await lab.longhaul(lab.root, 'diff', '--session', session);
  expect({ code, stderr }).toEqual({
    code: 0,
    stderr: `longhaul: the work of task ${id} is not in this sum: its worktree was kept at /home/me/kept; longhaul show ${id} says why.\n`,
  });
  expect(stdout.toString()).toContain('+A');
  expect((await lab.longhaul(lab.root, 'ls', '--session', session)).stdout.toString()).toMatch(
    /^\w+ +completed, work kept /m,
  );
  expect(await lab.longhaul(lab.root, 'diff', session)).toMatchObject({
    code: 2,
    stderr: `longhaul: ${session} is a session, not a task: \`longhaul diff --session ${session}\` prints the sum of its changes, \`longhaul ls --session ${session}\` lists its tasks.\n`,
  });
});

test('for a change that builds on another, diff and run name the other and the command for the sum', async () => {
  const project = await newProject({ 'a.txt': 'a\n' });
  const first = await changed(project, (worktree) => writeFiles(worktree, { 'a.txt': 'A\n' }));
  const second = await changed(project, (worktree) => writeFiles(worktree, { 'a.txt': 'AA\n' }), first);
  const { sql } = lab.database;
  const below = async ({ taskId, base }: QueuedTask) => taskBuiltOn({ sql }, taskId, { base_commit: base });
  expect([await below(first), await below(second)]).toEqual([undefined, first.taskId]);
  const [id, other] = [second.taskId.slice(0, 8), first.taskId.slice(0, 8)];
  expect(takeLines(second.taskId, first.taskId, {}).lines.join('\n')).toMatch(
    new RegExp(
      `^on top of the change of task ${other}, .*: longhaul diff ${id} .*\n.*: longhaul diff --session ${id} `,
    ),
  );
  expect(takeLines(first.taskId, undefined, {}).lines).toEqual([
    `apply it to your checkout: longhaul diff ${other} | ${APPLY}`,
  ]);
  const ended = endLines(await describe({ sql }, second.taskId), first.taskId).map(({ text }) => text);
  expect(ended.slice(-2)).toEqual([
    expect.stringContaining(`on top of the change of task ${other}`),
    expect.stringContaining(`longhaul diff --session ${id}`),
  ]);
  // What the hint says is so.
  const mine = await checkout(project, first.base);
  expect((await lab.take(mine, second.taskId)).code).not.toBe(0);
  expect(await lab.take(mine, '--session', second.taskId)).toMatchObject({ code: 0, stderr: '' });
});
