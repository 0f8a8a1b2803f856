/** Worktrees that wait for the next task of their session. */
import { lstatSync } from 'node:fs';
import { mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { removeTask } from '../../client/remove-task.ts';
import { findLeftovers } from '../../maintenance/gc/gc.ts';
import { readSettings } from '../../services/settings.ts';
import { exists } from '../../processes/exists.ts';
import { type Lab, startLab } from '../lab/lab.ts';

let lab: Lab;
beforeAll(async () => {
  lab = await startLab({ slots: 2, files: { 'README.md': 'x\n', '.gitignore': 'node_modules/\n' } });
  await lab.startWorker({ LONGHAUL_PARKED_WORKTREES: '2', LONGHAUL_PARKED_FREE_PERCENT: '0' });
});
afterAll(() => lab.close());

const parked = async (): Promise<string[]> => (await readdir(path.join(lab.home, 'worktrees'))).sort();
const inode = (folder: string): bigint => lstatSync(folder, { bigint: true }).ino;

async function run(input: string, sessionId?: string): Promise<{ sessionId: string; worktree: string; id: string }> {
  const id = await lab.submit({ input, ...(sessionId !== undefined && { sessionId }) });
  const ended = await lab.ended(id);
  expect(ended).toMatchObject({ state: 'completed', kept_worktree: null });
  return { id, sessionId: ended.session_id ?? '', worktree: ended.worktree_path ?? '' };
}

test("a session's next task works in the parked worktree, on its newest result, with the ignored files that are there", async () => {
  const before = await lab.repository.fingerprint();
  const first = await run('write one.txt with one. write node_modules/tool.js with installed');
  expect(await parked()).toEqual([first.sessionId]);
  const folder = inode(first.worktree);
  const second = await run('run cp node_modules/tool.js two.txt. append two to one.txt', first.sessionId);
  expect(inode(second.worktree)).toBe(folder);
  const [change] = await lab.changes(second.id as never);
  expect(change?.diff).toContain('+installed');
  expect(change?.diff).not.toContain('node_modules');
  expect(await readFile(path.join(second.worktree, 'one.txt'), 'utf8')).toMatch(/one[^]*two/);
  expect(await lab.repository.fingerprint()).toEqual(before);
});

test('of more worktrees than the settings allow, the oldest is removed; its session continues in a new one', async () => {
  const one = await run('write a.txt with a');
  const two = await run('write a.txt with a');
  const three = await run('write a.txt with a');
  await lab.until('the oldest to be gone', async () => (await parked()).length === 2);
  expect(await parked()).toEqual([two.sessionId, three.sessionId].sort());
  const again = await run('append more to a.txt', one.sessionId);
  expect(await readFile(path.join(again.worktree, 'a.txt'), 'utf8')).toMatch(/a[^]*more/);
});

test('a parked worktree whose session was removed is removed, by the worker or by gc', async () => {
  const { id, sessionId } = await run('write a.txt with a');
  const settings = readSettings({ LONGHAUL_HOME: lab.home, LONGHAUL_HOST_NAME: 'lab' });
  const knowledge = { sql: lab.sql, temporal: lab.client, host: 'lab' };
  const left = async (): Promise<string[]> => {
    const { leftovers } = await findLeftovers(settings, knowledge, { removeKept: false });
    return leftovers.filter(({ kind }) => kind === 'worktree').map(({ name }) => path.basename(name));
  };
  // The worker removes the oldest one after the task has ended.
  await lab.until('no worktree to be left over', async () => (await left()).length === 0);
  await removeTask({ sql: lab.sql }, id as never);
  expect(await left()).toEqual([sessionId]);
  await run('write a.txt with a');
  await lab.until('it to be gone', async () => !(await parked()).includes(sessionId));
});

test('a folder that took the place of a parked worktree stays; the next task works beside it, and the one after that too', async () => {
  const first = await run('write a.txt with a. write node_modules/x with x');
  await rename(first.worktree, `${first.worktree}-elsewhere`);
  await mkdir(first.worktree);
  await writeFile(path.join(first.worktree, 'mine.txt'), 'mine');
  const second = await run('append b to a.txt', first.sessionId);
  const third = await run('append c to a.txt', first.sessionId);
  expect(second.worktree).not.toBe(first.worktree);
  expect(third.worktree).toBe(second.worktree);
  expect(await readFile(path.join(third.worktree, 'a.txt'), 'utf8')).toMatch(/a[^]*b[^]*c/);
  expect(await readdir(first.worktree)).toEqual(['mine.txt']);
  for (const folder of [first.worktree, `${first.worktree}-elsewhere`]) await rm(folder, { recursive: true });
});

test('a worktree is parked after a task that was cancelled, too, and its edits are in a change', async () => {
  const gate = lab.gate();
  const id = await lab.submit({ input: `write a.txt with a. write node_modules/x with x. run cat ${gate.path}` });
  await lab.until('the edit', async () => {
    const { worktree_path: at } = await lab.task(id);
    return at !== null && (await exists(path.join(at, 'node_modules/x')));
  });
  await lab.cancel(id);
  const ended = await lab.ended(id);
  expect(ended.state).toBe('cancelled');
  expect(await lab.inChange(id, 'a.txt')).toBe('a');
  const next = await run('run cp node_modules/x b.txt', ended.session_id ?? '');
  expect(await readFile(path.join(next.worktree, 'b.txt'), 'utf8')).toContain('x');
});
