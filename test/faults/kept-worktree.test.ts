/** What an agent wrote is in a commit before its worktree goes. If it cannot be stored, the worktree stays. */
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { heldGit, type HeldGit } from '../lab/held-git.ts';
import { type Lab, startLab } from '../lab/lab.ts';
import { longhaulWith, type Ran } from '../lab/longhaul.ts';

let lab: Lab;
let git: HeldGit;
beforeAll(async () => {
  lab = await startLab({ slots: 1, files: { 'README.md': 'x\n', '.gitignore': '.env\n*.log\nbuild/\n' } });
  git = await heldGit(path.join(lab.home, 'held-git'));
  await lab.startWorker(git.env);
});
afterAll(() => lab.close());

const command = (...args: string[]): Promise<Ran> =>
  longhaulWith(lab.home, args, { databaseUrl: lab.databaseUrl, temporalAddress: lab.temporal.address });

test('git fails permanently when the work is stored: the worktree stays and is named, diff and watch exit with 1, the next task starts', async () => {
  await git.fail('write-tree');
  const task = await lab.submit({ input: 'write precious.txt with precious' });
  const ended = await lab.ended(task);
  await git.release();
  const { worktree_path: worktree } = ended;
  expect(ended).toMatchObject({ state: 'completed', kept_worktree: worktree });
  expect(ended.output_summary).toContain(`The worktree was kept at ${worktree}`);
  expect(await readFile(path.join(worktree ?? '', 'precious.txt'), 'utf8')).toBe('precious\n');
  expect(await lab.changes(task)).toEqual([]);
  const watched = await command('watch', task);
  expect(watched).toMatchObject({ code: 1, stderr: '' });
  expect(watched.stdout).not.toContain('✓ completed');
  expect(watched.stdout).toMatch(/^! completed · .* · its work is not in a change · session [0-9a-f]{8}$/m);
  expect(watched.stdout).toMatch(/^! The worktree was kept at .*its changes could not be collected.*gc --kept/m);
  expect(watched.stdout).toMatch(`all edits of the agent: ${worktree}`);
  const diff = await command('diff', task);
  expect(diff).toMatchObject({ code: 1, stdout: '' });
  expect(diff.stderr).toContain(`kept at ${worktree}`);
  expect((await command('show', task)).stdout).toMatch(/^warnings +The worktree was kept at .*gc --kept/m);

  const next = await lab.submit({ input: 'write more.txt with more', sessionId: ended.session_id ?? '' });
  expect(await lab.ended(next)).toMatchObject({ state: 'completed', kept_worktree: null });
  expect(await lab.inChange(next, 'more.txt')).toBe('more');
});

test.each(['without a change', 'beside a change'])(
  'ignored files that the agent wrote, %s: are named in a warning',
  async (what) => {
    const more = what.startsWith('beside') ? ' write new.txt with new.' : '';
    const task = await lab.submit({
      input: `write build/out.bin with x. write .env with x. write debug.log with x.${more} say done.`,
    });
    expect(await lab.ended(task)).toMatchObject({ state: 'completed' });
    const warning = '2 ignored files and 1 ignored folder were left out of the change: .env, build/, debug.log.';
    const watched = await command('watch', task);
    expect(watched).toMatchObject({ code: 0, stderr: '' });
    expect(watched.stdout).toContain(`\n! ${warning}\n`);
    expect((await command('show', task)).stdout).toContain(`warnings  ${warning}\n`);
    expect(JSON.parse((await command('show', task, '--json')).stdout)).toMatchObject({ warnings: [warning] });
  },
);
