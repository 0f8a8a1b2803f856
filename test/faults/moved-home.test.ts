/** A home that is moved, or copied, while its tasks are open. */
import { cp, mkdir, mkdtemp, realpath, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { formerPaths } from '../../services/home/identity.ts';
import { startHome } from '../lab/home.ts';
import { startLab } from '../lab/lab.ts';
import { isWaiting } from '../lab/observer.ts';
import { expectWhole } from '../lab/whole.ts';

test('killed in mid-turn and moved: the task completes with its work, and so does the next one of its session', async () => {
  const root = await realpath(await mkdtemp(path.join(tmpdir(), 'longhaul-moved-')));
  onTestFinished(() => rm(root, { recursive: true, force: true, maxRetries: 5 }));
  const before = await startHome({ folder: path.join(root, 'before'), aside: root });
  const former = before.seen.gate();
  const task = await before.seen.submit({ input: `write first.txt with first. run cat ${former.path}` });
  await before.seen.untilFrame(task, 'the agent waits', isWaiting);
  await before.kill('all');

  const lab = await before.movedTo(path.join(root, 'after'));
  onTestFinished(() => lab.close());
  await lab.up();
  expect(await formerPaths(lab.home)).toEqual([]);
  const { session_id: session } = await lab.seen.ended(task);
  await expectWhole(lab.seen, task, { files: { 'first.txt': 'first' } });
  const next = await lab.seen.submit({ input: 'write second.txt with second', sessionId: session ?? '' });
  expect(await lab.seen.ended(next)).toMatchObject({ state: 'completed', kept_worktree: null });
  expect(await lab.seen.inChange(next, 'second.txt')).toBe('second');
  expect(await lab.seen.leftovers(next)).toEqual([]);
  const [row] = await lab.seen.sql`SELECT worktree_path FROM tasks WHERE id = ${task}`;
  expect(row).toEqual({ worktree_path: path.join(lab.home, 'worktrees', session ?? '') });
});

test('a worker that is started alone in a copy does not start while the original exists', async () => {
  const lab = await startLab();
  onTestFinished(() => lab.close());
  const worker = await lab.startWorker();
  const copy = path.join(lab.home, 'copy');
  await mkdir(copy);
  await cp(path.join(lab.home, 'home.json'), path.join(copy, 'home.json'));
  await expect(lab.startWorker({ LONGHAUL_HOME: copy })).rejects.toThrow(`${copy} is a copy of the home ${lab.home}`);
  const task = await lab.submit({ input: 'write first.txt with first' });
  expect(await lab.ended(task)).toMatchObject({ state: 'completed' });
  worker.kill('SIGTERM');
  await worker.exited;
});
