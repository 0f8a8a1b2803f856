/** LONGHAUL_PROJECT_ROOTS holds for rows that any program inserts, links and git's own pointers included. */
import { mkdir, realpath, rename, symlink, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { ProjectId } from '../../contract/ids.ts';
import { type Lab, startLab } from '../lab/lab.ts';
import { makeRepository, type SampleRepository } from '../lab/repositories.ts';

let lab: Lab;
let inside: string;
let outside: SampleRepository;
beforeAll(async () => {
  lab = await startLab();
  inside = path.join(await realpath(lab.home), 'inside');
  await mkdir(inside);
  outside = await makeRepository(path.join(lab.home, 'outside'), { 'a.txt': 'a' });
  await lab.startWorker({ LONGHAUL_PROJECT_ROOTS: inside });
});
afterAll(() => lab.close());

async function projectOf(place: string): Promise<ProjectId> {
  const [row] = await lab.sql<
    { id: ProjectId }[]
  >`INSERT INTO projects (name, path) VALUES ('p', ${place}) RETURNING id`;
  if (!row) throw new TypeError('no project');
  return row.id;
}

const traces = (): Promise<string> => outside.git('for-each-ref', 'refs/longhaul');

test.each([
  ['a project elsewhere', () => Promise.resolve(outside.path)],
  [
    'a link that leads out',
    async () => {
      await symlink(outside.path, path.join(inside, 'link'));
      return path.join(inside, 'link');
    },
  ],
  ['a path that climbs out', () => Promise.resolve(path.join(inside, 'x', '..', '..', 'outside'))],
  [
    'a folder whose repository lies elsewhere',
    async () => {
      const folder = path.join(inside, 'pointer');
      await mkdir(folder);
      await writeFile(path.join(folder, '.git'), `gitdir: ${path.join(outside.path, '.git')}\n`);
      return folder;
    },
  ],
  [
    'a folder within a repository that is not within',
    async () => {
      const folder = path.join(inside, 'plain');
      await mkdir(folder);
      return folder;
    },
  ],
])('%s: the task fails before anything is done there', async (name, make) => {
  // For the last one: the roots themselves lie in a repository.
  const above = path.join(lab.home, '.git');
  const moved = name.startsWith('a folder within');
  if (moved) await rename(path.join(outside.path, '.git'), above);
  try {
    const task = await lab.submit({ input: 'write b.txt with b', projectId: await projectOf(await make()) });
    const ended = await lab.ended(task);
    expect(ended).toMatchObject({
      state: 'failed',
      error_code: 'project_outside_roots',
      started_at: null,
      worktree_path: null,
    });
    expect(ended.output_summary).toContain('LONGHAUL_PROJECT_ROOTS');
    expect(await lab.changes(task)).toEqual([]);
  } finally {
    if (moved) await rename(above, path.join(outside.path, '.git'));
  }
  expect(await traces()).toBe('');
  expect(await outside.git('worktree', 'list')).not.toContain(path.join(lab.home, 'worktrees'));
});

test('tasks run in a project under the roots, and in one that a link there leads to', async () => {
  const repository = await makeRepository(path.join(inside, 'fine'), { 'a.txt': 'a' });
  await symlink(repository.path, path.join(lab.home, 'way-in'));
  for (const place of [repository.path, path.join(lab.home, 'way-in')]) {
    const task = await lab.submit({ input: 'write b.txt with b', projectId: await projectOf(place) });
    expect(await lab.ended(task)).toMatchObject({ state: 'completed' });
  }
});
