import { chmod, mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { takeLines } from '../../cli/diff.ts';
import { endLines } from '../../cli/end-text.ts';
import { APPLY } from '../../cli/apply-recipe.ts';
import { describe, taskBelow } from '../../client/tasks.ts';
import { type Files, gitIn, makeRepository, writeFiles } from '../lab/repositories.ts';
import {
  type ChangeLab,
  type ChangeProject,
  checkoutOf,
  openChangeLab,
  type QueuedTask,
  treeIdOf,
} from './change-lab.ts';

let lab: ChangeLab;
let number = 0;
beforeAll(async () => {
  lab = await openChangeLab();
});
afterAll(() => lab.close());

type Work = (worktree: string) => Promise<void>;

async function changed(project: ChangeProject, work: Work, before?: QueuedTask): Promise<QueuedTask> {
  const task = await project.change(work, before);
  if (!task) throw new Error('expected a change');
  return task;
}

const newProject: ChangeLab['project'] = (files) => lab.project(files, `project-${(number += 1)}`);
const checkout = (project: ChangeProject, commit: string): Promise<string> =>
  checkoutOf(project.repository, path.join(lab.root, `checkout-${(number += 1)}`), commit);
const treeOf = (project: ChangeProject, commit: string): Promise<string> =>
  project.repository.git('rev-parse', `${commit}^{tree}`);
const jsonOf = async (...args: string[]): Promise<Record<string, unknown>> =>
  JSON.parse((await lab.longhaul(lab.root, 'diff', ...args, '--json')).stdout.toString()) as Record<string, unknown>;

test('7,000 small files and a long text are complete in a pipe; in a terminal they are cut, and --json marks the cut', async () => {
  const project = await newProject();
  const many = Object.fromEntries(
    Array.from({ length: 7_000 }, (_, at) => [`many/${at}.txt`, `content of ${at}\n`.repeat(9)]),
  );
  const task = await changed(project, (worktree) =>
    writeFiles(worktree, { ...many, 'long.txt': 'a line of text\n'.repeat(200_000) }),
  );
  const mine = await checkout(project, task.base);
  expect(await lab.take(mine, task.taskId)).toMatchObject({ code: 0, stderr: '' });
  expect(await treeIdOf(mine)).toBe(await treeOf(project, task.commit));
  const shown = await jsonOf(task.taskId);
  expect(shown).toMatchObject({ diff_truncated: true, additions: 263_000 });
  expect(String(shown['diff']).length).toBeLessThan(1.1 * 1024 * 1024);
});

test('bytes that are not UTF-8 pass through, in names and in contents; in JSON each path is reversible', async () => {
  const project = await newProject({ 'latin1.txt': Buffer.from('caf\xe9\n', 'latin1'), 'ü.txt': 'plain\n' });
  const bytes = (folder: string, name: string): Buffer =>
    Buffer.concat([Buffer.from(`${folder}/`), Buffer.from(name, 'latin1')]);
  const task = await changed(project, async (worktree) => {
    await writeFile(path.join(worktree, 'latin1.txt'), Buffer.from('caf\xe9\nth\xe9\n', 'latin1'));
    await writeFile(bytes(worktree, '\xff.txt'), 'one\n');
    await writeFile(bytes(worktree, '\xfe.txt'), 'two\n');
    await rename(path.join(worktree, 'ü.txt'), bytes(worktree, 'u\xe9'));
  });
  const mine = await checkout(project, task.base);
  expect(await lab.take(mine, task.taskId)).toMatchObject({ code: 0, stderr: '' });
  expect(await treeIdOf(mine)).toBe(await treeOf(project, task.commit));
  expect(await readFile(path.join(mine, 'latin1.txt'))).toEqual(Buffer.from('caf\xe9\nth\xe9\n', 'latin1'));
  const { files, diff, diff_truncated } = await jsonOf(task.taskId);
  const base64 = (name: string): string => Buffer.from(name, 'latin1').toString('base64');
  expect(files).toMatchObject([
    { path: 'latin1.txt', status: 'modified' },
    { path: '"u\\351"', path_bytes: base64('u\xe9'), old_path: 'ü.txt', status: 'renamed' },
    { path: '"\\376.txt"', path_bytes: base64('\xfe.txt'), status: 'added' },
    { path: '"\\377.txt"', path_bytes: base64('\xff.txt'), status: 'added' },
  ]);
  expect((files as object[])[0]).not.toHaveProperty('path_bytes');
  expect(diff_truncated).toBe(false);
  expect(diff).toContain('diff --git "a/\\377.txt" "b/\\377.txt"');
  const back = await changed(
    project,
    (worktree) => rename(bytes(worktree, 'u\xe9'), path.join(worktree, 'ü.txt')),
    task,
  );
  expect((await jsonOf(back.taskId))['files']).toMatchObject([
    { path: 'ü.txt', old_path: '"u\\351"', old_path_bytes: base64('u\xe9'), status: 'renamed' },
  ]);
});

test('a change of modes is shown with its modes, and is applied', async () => {
  const project = await newProject({ 'run.sh': '#!/bin/sh\n', gone: 'gone\n' });
  const task = await changed(project, async (worktree) => {
    await chmod(path.join(worktree, 'run.sh'), 0o755);
    await rm(path.join(worktree, 'gone'));
  });
  const { files } = await jsonOf(task.taskId);
  expect(files).toEqual([
    { path: 'gone', status: 'deleted', old_mode: '100644', additions: 0, deletions: 1, binary: false },
    {
      path: 'run.sh',
      status: 'modified',
      old_mode: '100644',
      new_mode: '100755',
      additions: 0,
      deletions: 0,
      binary: false,
    },
  ]);
  const mine = await checkout(project, task.base);
  await lab.take(mine, task.taskId);
  expect(await treeIdOf(mine)).toBe(await treeOf(project, task.commit));
});

test('a binary file whose folder ends with a blank, which git apply cannot read unquoted, is applied', async () => {
  const project = await newProject({
    'end /gone.bin': Buffer.from([0, 1]),
    'end /mode': 'x\n',
    'end /old': Buffer.from([0, 2]),
  });
  const task = await changed(project, async (worktree) => {
    await rm(path.join(worktree, 'end /gone.bin'));
    await chmod(path.join(worktree, 'end /mode'), 0o755);
    await rename(path.join(worktree, 'end /old'), path.join(worktree, 'new'));
    await writeFiles(worktree, {
      'end /empty': '',
      'diff --git a/end /x b/end /x': 'diff --git a/end /empty b/end /empty\n',
    });
  });
  const mine = await checkout(project, task.base);
  expect(await lab.take(mine, task.taskId)).toMatchObject({ code: 0, stderr: '' });
  expect(await treeIdOf(mine)).toBe(await treeOf(project, task.commit));
});

test('a link that was moved into the folder that replaces it is applied', async () => {
  const project = await newProject({ there: { link: 'nowhere' }, 'a.txt': 'a\n' });
  const task = await changed(project, async (worktree) => {
    await rm(path.join(worktree, 'there'));
    await writeFiles(worktree, { 'there/below': { link: 'nowhere' } });
  });
  const mine = await checkout(project, task.base);
  expect(await lab.take(mine, task.taskId)).toMatchObject({ code: 0, stderr: '' });
  expect(await treeIdOf(mine)).toBe(await treeOf(project, task.commit));
});

test.each([
  ['leads to itself', { 'below/there': { link: 'there' } }],
  ['leads to itself by another link', { 'below/there': { link: '../back' }, back: { link: 'below/there' } }],
  [
    'leads to a folder, in which another link leads to itself',
    { 'below/there': { link: '../a' }, 'a/b': { link: 'b' } },
  ],
  ['leads to a name that is too long for a file', { 'below/there': { link: 'long'.repeat(70) } }],
])(
  'a folder that replaces a link that %s, which git apply refuses: nothing is printed, and the suggested commands work',
  async (_, links: Files) => {
    const project = await newProject({ ...links, 'a.txt': 'a\n' });
    const task = await changed(project, async (worktree) => {
      await rm(path.join(worktree, 'below/there'));
      await writeFiles(worktree, { 'below/there/b/new.txt': 'new\n', 'a.txt': 'b\n' });
    });
    const mine = await checkout(project, task.base);
    const { code, stdout, stderr } = await lab.longhaul(mine, 'diff', task.taskId);
    expect({ code, stdout: stdout.toString() }).toEqual({ code: 1, stdout: '' });
    expect(stderr).toBe(
      `longhaul: git apply would refuse this change: it replaces the symbolic link below/there by a folder, and git cannot follow that link. Nothing was printed. To take the change, run: git cherry-pick --no-commit ${task.commit}\n`,
    );
    const session = await lab.longhaul(mine, 'diff', '--session', task.taskId);
    expect(session).toMatchObject({ code: 1, stderr: stderr.replace(task.commit, `${task.base}..${task.commit}`) });
    await gitIn(mine, 'cherry-pick', '--no-commit', task.commit);
    expect(await gitIn(mine, 'write-tree')).toBe(await treeOf(project, task.commit));
  },
);

test.each([
  ['to a folder', { there: { link: 'folder' }, 'folder/x': 'x\n' }],
  ['to a file', { there: { link: 'a.txt' } }],
  ['through a folder that does not exist', { there: { link: 'nowhere/../there' } }],
  ['out of the repository', { there: { link: '../../somewhere' } }],
])('a folder that replaces a link %s, which git applies, is applied', async (_, files: Files) => {
  const project = await newProject({ 'a.txt': 'a\n', ...files });
  const task = await changed(project, async (worktree) => {
    await rm(path.join(worktree, 'there'));
    await writeFiles(worktree, { 'there/b/new.txt': 'new\n' });
  });
  const mine = await checkout(project, task.base);
  expect(await lab.take(mine, task.taskId)).toMatchObject({ code: 0, stderr: '' });
  expect(await treeIdOf(mine)).toBe(await treeOf(project, task.commit));
});

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
    const stored = `What could be stored is ${ref} in ${folder}: take it with git cherry-pick --no-commit ${ref} and compare it with the worktree.`;
    expect(await diff()).toEqual({ code: 1, stdout: '', stderr: `${start} ${stored} ${end}` });
    expect(await diff('--json')).toMatchObject({ code: 1, stderr: `${start} ${stored} ${end}` });
    await project.repository.git('update-ref', '-d', ref);
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
    `longhaul: The change was stored without its patch and without its text. Nothing was printed. To take the change, run: git cherry-pick --no-commit ${task.commit}\n`,
  );
});

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
  await rm(path.join(folder, '.git/objects', first.base.slice(0, 2), first.base.slice(2)));
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
  const below = async ({ taskId, base }: QueuedTask) => taskBelow({ sql }, taskId, { base_commit: base });
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

test('a submodule that moved, which git apply skips, is refused with nothing printed', async () => {
  const project = await newProject();
  const library = await makeRepository(path.join(lab.root, 'library'), { 'lib.js': 'one\n' });
  const first = await library.git('rev-parse', 'HEAD');
  await library.write({ 'lib.js': 'two\n' });
  await library.commit();
  await project.repository.git('submodule', '--quiet', 'add', library.path, 'vendor');
  await project.repository.commit();
  const task = await changed(project, async (worktree) => {
    await gitIn(path.join(worktree, 'vendor'), 'checkout', '--quiet', '--detach', first);
    await writeFiles(worktree, { 'new.txt': 'new\n' });
  });
  const mine = await checkout(project, task.base);
  const { code, stdout, stderr } = await lab.longhaul(mine, 'diff', task.taskId);
  expect({ code, stdout: stdout.toString() }).toEqual({ code: 1, stdout: '' });
  expect(stderr).toBe(
    `longhaul: The change moves vendor to another commit, and git apply would skip that without a message. Nothing was printed. To take the change, run: git cherry-pick --no-commit ${task.commit}\n`,
  );
  await gitIn(mine, 'cherry-pick', '--no-commit', task.commit);
  expect(await gitIn(mine, 'write-tree')).toBe(await treeOf(project, task.commit));
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

test('a repository with a name that is not UTF-8, inside the worktree, is stored as its files', async () => {
  const project = await newProject();
  const task = await changed(project, async (worktree) => {
    await makeRepository(path.join(worktree, 'nested'), { 'a.txt': 'a\n' });
    await mkdir(path.join(worktree, 'below'));
    await rename(path.join(worktree, 'nested'), Buffer.concat([Buffer.from(`${worktree}/below/`), Buffer.of(0xff)]));
  });
  expect(await project.repository.git('ls-tree', '-r', '--name-only', task.commit, 'below')).toBe(
    '"below/\\377/a.txt"',
  );
});
