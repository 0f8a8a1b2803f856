/**
 * The disk of the worktrees, or of the mirrors (results are objects there), is full when a step needs it. The step is retried and
 * finds the space that was freed; otherwise the task's message says so, and its work stays in its worktree.
 */
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { ProjectId, TaskId } from '../../contract/ids.ts';
import { type Lab, startLab } from '../lab/lab.ts';
import { isWaiting, Observer } from '../lab/observer.ts';
import { makeRepository } from '../lab/repositories.ts';
import { mountSmallDisk, type SmallDisk } from '../lab/small-disk.ts';
import { expectWhole } from '../lab/whole.ts';

const FILES = { 'first.txt': 'first', 'second.txt': 'second' };

let lab: Lab;
/** Of a project on another disk than its mirror. */
let seen: Observer;
let ofMirrors: SmallDisk;
let ofWorktrees: SmallDisk;
let before: Record<string, string>;

beforeAll(async () => {
  lab = await startLab({ slots: 1 });
  ofMirrors = mountSmallDisk(path.join(lab.home, 'mirrors'), 4);
  ofWorktrees = mountSmallDisk(path.join(lab.home, 'worktrees'), 4);
  const repository = await makeRepository(path.join(lab.home, 'small', 'project'));
  const [project] = await lab.sql<{ id: ProjectId }[]>`
    INSERT INTO projects (name, path) VALUES ('small', ${repository.path}) RETURNING id`;
  if (!project) throw new TypeError('no project');
  seen = new Observer({ home: lab.home, sql: lab.sql, client: lab.client, repository, projectId: project.id });
  before = await repository.fingerprint();
  await lab.startWorker();
});
afterAll(async () => {
  ofMirrors.unmount();
  ofWorktrees.unmount();
  await lab.close();
});

/** The worker has said so of this task's step. */
async function untilFull(task: TaskId, step: string): Promise<void> {
  await seen.until(`${step} to find no room`, async () =>
    (await seen.logs()).split('\n').some((line) => {
      if (!line.includes(task) || !line.includes(`${step} failed`)) return false;
      expect(line).toMatch(/disk is full|out of disk space/);
      return true;
    }),
  );
}

test.each([
  ['the mirrors', () => ofMirrors],
  ['the worktrees', () => ofWorktrees],
])('the disk of %s is full while a worktree is created, then freed: the task completes', async (_, disk) => {
  disk().fill();
  const task = await seen.submit({ input: 'write first.txt with first. write second.txt with second' });
  await untilFull(task, 'createWorktree');
  disk().free();
  await expectWhole(seen, task, { files: FILES });
  expect(await seen.repository.fingerprint()).toEqual(before);
});

test('the disk of the mirrors stays full while a worktree is created: disk_full, and no files remain', async () => {
  ofMirrors.fill();
  const task = await seen.submit({ input: 'write first.txt with first' });
  await expectWhole(seen, task, { files: {}, state: 'failed', code: 'disk_full' });
  ofMirrors.free();
  expect(await seen.repository.fingerprint()).toEqual(before);
});

async function collecting(): Promise<TaskId> {
  const gate = seen.gate();
  const task = await seen.submit({
    input: `write first.txt with first. run cat ${gate.path}. write second.txt with second`,
  });
  await seen.untilFrame(task, 'the agent waits', isWaiting);
  ofMirrors.fill();
  await gate.open();
  await untilFull(task, 'diffWorktree');
  return task;
}

test('the disk of the mirrors is full while the work is collected, then freed: the task completes', async () => {
  const task = await collecting();
  ofMirrors.free();
  await expectWhole(seen, task, { files: FILES });
  expect(await seen.repository.fingerprint()).toEqual(before);
});

test('the disk of the mirrors stays full while the work is collected: the worktree is kept and named', async () => {
  const task = await collecting();
  const { kept_worktree, output_summary } = await seen.ended(task);
  ofMirrors.free();
  expect(output_summary).toContain(`The worktree was kept at ${kept_worktree}`);
  expect(output_summary).toMatch(/disk is full|out of disk space/);
  for (const [name, content] of Object.entries(FILES)) {
    expect((await readFile(path.join(kept_worktree ?? '', name), 'utf8')).trim()).toBe(content);
  }
  expect(await seen.changes(task)).toEqual([]);
  expect(await seen.leftovers(task)).toEqual([]);
});
