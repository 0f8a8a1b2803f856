/** The step that makes a worktree runs again, because Temporal lost its end with the machine's power. */
import { readdir, readFile, truncate, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { expect, test } from 'vitest';
import { type Lab, openLab } from './lab.ts';

async function worked(lab: Lab) {
  const place = { projectPath: lab.repository.path, worktreePath: path.join(lab.root, 'w'), owner: 'task-a' };
  const { base } = await lab.worktrees.create(place);
  const file = path.join(place.worktreePath, 'work.txt');
  await writeFile(file, 'work');
  return { place, base, work: () => readFile(file, 'utf8') };
}

test('a collected and not yet queued worktree stays, for its own task', async () => {
  const lab = await openLab();
  const { place, base, work } = await worked(lab);
  const request = { ...place, base, ref: 'refs/longhaul/tasks/a', message: 'Do it' };
  const first = await lab.worktrees.collect(request);
  expect(await lab.worktrees.create(place)).toMatchObject({ state: 'found', base });
  expect(await work()).toBe('work');
  expect(await lab.worktrees.collect(request)).toEqual(first);
});

test('its record is empty: its task, which knows that it was created, finds the work', async () => {
  const lab = await openLab();
  const { place, base, work } = await worked(lab);
  const record = (await readdir(lab.locksDir)).find((name) => name.endsWith('.worktree.json')) ?? '';
  await truncate(path.join(lab.locksDir, record));
  expect(lab.worktrees.ownerOf(place.worktreePath)).toBeUndefined();
  expect(await lab.worktrees.create({ ...place, madeBefore: true })).toMatchObject({ state: 'found', base });
  expect(await work()).toBe('work');
  expect(lab.worktrees.ownerOf(place.worktreePath)).toBe('task-a');
});

test('its record is empty and it was never complete: it is created again', async () => {
  const lab = await openLab();
  const { place } = await worked(lab);
  for (const name of await readdir(lab.locksDir)) await truncate(path.join(lab.locksDir, name));
  expect(await lab.worktrees.create(place)).toMatchObject({ state: 'created' });
  expect(await readdir(place.worktreePath)).not.toContain('work.txt');
});
