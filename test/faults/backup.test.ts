/** A home is backed up while it works, and lost: what comes back, and what becomes of tasks that were open. */
import { lstat, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { taskRef } from '../../worktrees/worktrees.ts';
import { LabHome, startHome } from '../lab/home.ts';
import { longhaul } from '../lab/longhaul.ts';
import { isWaiting } from '../lab/observer.ts';
import { expectWhole } from '../lab/whole.ts';

let lab: LabHome;
let aside: string;
let file: string;
beforeAll(async () => {
  aside = await mkdtemp(path.join(tmpdir(), 'longhaul-aside-'));
  file = path.join(aside, 'backup.tar.gz');
  lab = await startHome({ aside });
});
afterAll(async () => {
  await lab.close();
  await rm(aside, { recursive: true, force: true });
});

const git = (...args: string[]): Promise<string> => lab.seen.results(...args);

test('a home with running tasks is backed up, lost and restored: rows, changes and results exist, open tasks end', async () => {
  const done = await lab.seen.submit({ input: 'write done.txt with done. say all done' });
  expect((await lab.seen.ended(done)).state).toBe('completed');
  const result = await git('rev-parse', taskRef(done));
  const before = await lab.seen.changes(done);
  const gate = lab.seen.gate();
  const open = await lab.seen.submit({
    input: `write first.txt with first. run cat ${gate.path}. write second.txt with second`,
  });
  await lab.seen.untilFrame(open, 'the agent waits', isWaiting);
  // Rows that come while the files are copied: they are in it whole or not at all, never half.
  const copying = lab.command('backup', file);
  for (let i = 0; i < 50; i++)
    await lab.seen.sql`INSERT INTO projects (name, path) VALUES ('more', ${`/nowhere/${i}`})`;
  expect(await copying).toMatchObject({ code: 0, stderr: '' });
  expect((await stat(file)).mode & 0o777).toBe(0o600);

  await lab.kill('all');
  await rm(lab.home, { recursive: true, force: true, maxRetries: 5 });
  await expect(lab.repository.git('cat-file', '-e', result), 'in the project').rejects.toThrow();

  expect(await lab.command('restore', file)).toMatchObject({ code: 0, stderr: '' });
  await gate.open();
  await lab.up();
  expect(await lab.seen.changes(done)).toEqual(before);
  expect(await git('rev-parse', taskRef(done))).toBe(result);
  expect(await git('show', `${result}:done.txt`)).toBe('done');
  await lab.seen.ended(open);
  await expectWhole(lab.seen, open, { files: { 'first.txt': 'first', 'second.txt': 'second' } });
});

test('a stopped home is backed up too; restore refuses a home with a database, and a file that is no backup', async () => {
  expect(await lab.command('down')).toMatchObject({ code: 0 });
  expect(await lab.command('backup', file)).toMatchObject({
    code: 2,
    stderr: expect.stringContaining('exists') as string,
  });
  const second = path.join(aside, 'second.tar.gz');
  expect(await lab.command('backup', second, '--json')).toMatchObject({ code: 0, stderr: '' });
  expect((await lab.command('status')).stdout).not.toMatch(/ready/);
  expect(await lab.command('restore', second)).toMatchObject({
    code: 2,
    stderr: expect.stringContaining('has a database already') as string,
  });
  const garbage = path.join(aside, 'garbage');
  await writeFile(garbage, 'no backup');
  const other = path.join(aside, 'other');
  for (const wrong of [garbage, path.join(aside, 'none')]) {
    const { code, stderr } = await longhaul(other, ['restore', wrong]);
    expect([code, stderr.trim().split('\n').length]).toEqual([2, 1]);
  }
  expect(
    await longhaul(other, ['backup', path.join(aside, 'x'), '--json'], { DATABASE_URL: 'postgres://h/x' }),
  ).toMatchObject({
    code: 2,
    stderr: expect.stringContaining('pg_dump') as string,
  });
  await lab.up();
});

test('restored beside its original, which is stopped: each works in a worktree of its own, and both complete', async () => {
  const gate = lab.seen.gate();
  const task = await lab.seen.submit({
    input: `write first.txt with first. run cat ${gate.path}. write second.txt with second`,
  });
  await lab.seen.untilFrame(task, 'the agent waits', isWaiting);
  const { worktree_path: worktree, session_id: session } = await lab.seen.task(task);
  const third = path.join(aside, 'third.tar.gz');
  expect(await lab.command('backup', third)).toMatchObject({ code: 0, stderr: '' });
  expect(await lab.command('down')).toMatchObject({ code: 0 });
  const before = await contentOf(worktree ?? '');
  expect([...before.keys()]).toContain('first.txt');
  await rm(gate.path);
  await gate.open(); // a file from here on: no agent waits at it

  const copy = new LabHome(
    path.join(aside, 'copy'),
    { XDG_STATE_HOME: path.join(aside, 'agent-state') },
    lab.repository,
  );
  expect(await copy.command('restore', third)).toMatchObject({ code: 0, stderr: '' });
  onTestFinished(() => copy.close());
  await copy.up();
  expect(await copy.seen.ended(task)).toMatchObject({
    state: 'completed',
    worktree_path: path.join(copy.home, 'worktrees', session ?? ''),
  });
  expect(await copy.seen.inChange(task, 'first.txt')).toBe('first');
  expect(await copy.seen.inChange(task, 'second.txt')).toBe('second');
  expect(await contentOf(worktree ?? '')).toEqual(before);
  expect(await copy.command('down')).toMatchObject({ code: 0 });

  await lab.up();
  expect(await lab.seen.ended(task)).toMatchObject({ worktree_path: worktree });
  await expectWhole(lab.seen, task, { files: { 'first.txt': 'first', 'second.txt': 'second' } });
});

/** Of each file and folder: which one it is, when it was written, what is in it. */
async function contentOf(folder: string): Promise<Map<string, readonly [number, number, string]>> {
  const names = ['.', ...(await readdir(folder, { recursive: true }))];
  const each = names.map(async (name) => {
    const found = path.join(folder, name);
    const status = await lstat(found);
    return [name, [status.ino, status.mtimeMs, status.isFile() ? await readFile(found, 'utf8') : '']] as const;
  });
  return new Map(await Promise.all(each));
}
