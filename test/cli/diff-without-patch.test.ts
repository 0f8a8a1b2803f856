/** `longhaul diff` of a task whose change has no patch, or that has no change. */
import { expect, test } from 'vitest';
import { writeFiles } from '../lab/repositories.ts';
import { openDiffLab } from './diff-lab.ts';

const { lab, newProject, changed } = await openDiffLab();

const EMPTY_PATCH = { patch: null, diff: null };

test.each(['no row of a change', 'a change without diff and patch'])(
  'a task whose worktree was kept, with %s: exit code 1, and a message that names where its work is',
  async (what) => {
    const project = await newProject();
    const task = await changed(project, (worktree) => writeFiles(worktree, { 'new.txt': 'new\n' }));
    const { sql } = lab.database;
    if (what.startsWith('no')) await sql`DELETE FROM pending_changes WHERE task_id = ${task.taskId}`;
    else await sql`UPDATE pending_changes SET ${sql(EMPTY_PATCH)} WHERE task_id = ${task.taskId}`;
    await sql`UPDATE tasks SET kept_worktree = '/home/me/kept' WHERE id = ${task.taskId}`;
    const id = task.taskId.slice(0, 8);
    const ref = `refs/longhaul/tasks/${task.taskId}`;
    const { path: folder } = project.repository;
    const start = `longhaul: The work of task ${id} is not in a change: its worktree was kept at /home/me/kept.`;
    const end = `longhaul show ${id} says why it was kept.\n`;
    const diff = async (...more: string[]): Promise<object> => {
      const { code, stdout, stderr } = await lab.longhaul(lab.root, 'diff', task.taskId, ...more);
      return { code, stdout: stdout.toString(), stderr };
    };
    const stored = `What could be stored is a commit: longhaul fetch ${id} brings it into ${folder} as ${ref}. Take it from there with git cherry-pick --no-commit ${ref}, and compare it with the worktree.`;
    expect(await diff()).toEqual({ code: 1, stdout: '', stderr: `${start} ${stored} ${end}` });
    expect(await diff('--json')).toMatchObject({ code: 1, stderr: `${start} ${stored} ${end}` });
    await project.results('update-ref', '-d', ref);
    expect(await diff()).toEqual({ code: 1, stdout: '', stderr: `${start} Copy what you need from there. ${end}` });
  },
);

test('a change that was stored without diff and patch is refused; the message names its commit', async () => {
  const project = await newProject();
  const task = await changed(project, (worktree) => writeFiles(worktree, { 'new.txt': 'new\n' }));
  const { sql } = lab.database;
  await sql`UPDATE pending_changes SET ${sql(EMPTY_PATCH)} WHERE task_id = ${task.taskId}`;
  const { code, stdout, stderr } = await lab.longhaul(lab.root, 'diff', task.taskId);
  expect({ code, stdout: stdout.toString() }).toEqual({ code: 1, stdout: '' });
  expect(stderr).toBe(
    `longhaul: The change was stored without its patch and without its diff. Nothing was printed. To take the change, run: longhaul fetch ${task.taskId.slice(0, 8)} && git cherry-pick --no-commit ${task.commit}\n`,
  );
});

test("the diff of another program's change without a patch is printed if it is complete", async () => {
  const { sql } = lab.database;
  const queue = async (diff: string): Promise<string> => {
    const [task] = await sql<{ id: string }[]>`INSERT INTO tasks (input, state) VALUES ('x', 'completed') RETURNING id`;
    await sql`INSERT INTO pending_changes (task_id, diff) VALUES (${task?.id ?? ''}, ${diff})`;
    return task?.id ?? '';
  };
  const whole = '--- /dev/null\n+++ b/x\n@@ -0,0 +1 @@\n+x\n';
  expect((await lab.longhaul(lab.root, 'diff', await queue(whole))).stdout.toString()).toBe(whole);
  const lossy = await lab.longhaul(lab.root, 'diff', await queue(`${whole}+caf\uFFFD\n`));
  expect(lossy).toMatchObject({ code: 1, stderr: expect.stringContaining('without its patch') as string });
  expect(lossy.stdout).toHaveLength(0);
});
