/** One random change: applied, compared with git's own checkout, and undone. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { gitIn } from '../lab/repositories.ts';
import { changeLab } from './lab.ts';
import { editAtRandom, randomProject } from './random-project.ts';
import { Dice, treeAt } from './tree.ts';

/** Returns false if the agent left no change. */
export async function roundTrip(seed: number, root: string): Promise<boolean> {
  const dice = new Dice(seed);
  const { repository } = await randomProject(dice, path.join(root, 'project'));
  const lab = changeLab(root, repository.path);
  const change = await lab.work((worktree) => editAtRandom(dice, worktree));
  if (change === undefined) return false;
  const mirror = mirrorOf(root);
  const copy = path.join(root, 'copy');
  // Node's own copy fails at names that are not UTF-8.
  execFileSync('cp', ['-a', repository.path, copy]);
  await gitIn(copy, 'config', 'core.checkStat', 'minimal');
  await gitIn(copy, 'config', 'core.trustctime', 'false');
  await gitIn(copy, 'fetch', '--quiet', mirror, change.commit);
  await gitIn(copy, '-c', 'core.splitIndex=false', 'checkout', '--quiet', '--force', '--detach', change.commit);
  // In a sparse checkout, an apply also writes files outside the cone.
  const sparse = (await gitIn(copy, 'config', '--default=false', '--get', 'core.sparseCheckout')) === 'true';
  if (sparse) {
    const changed = execFileSync(
      'git',
      ['diff', '--name-only', '--no-renames', '--diff-filter=d', '-z', change.base, change.commit],
      { cwd: copy },
    );
    const files = ['--pathspec-from-file=-', '--pathspec-file-nul'];
    execFileSync('git', ['--literal-pathspecs', 'checkout', '--ignore-skip-worktree-bits', change.commit, ...files], {
      cwd: copy,
      input: changed,
      stdio: 'pipe',
    });
  }
  writeFileSync(path.join(repository.path, 'notes of the user'), 'untracked\n');
  writeFileSync(path.join(copy, 'notes of the user'), 'untracked\n');
  const [before, gitBefore] = [treeAt(repository.path), treeAt(path.join(repository.path, '.git'), '')];
  const journal = await lab.apply(change);
  assert.deepEqual(treeAt(repository.path), treeAt(copy));
  await lab.undo(journal);
  assert.deepEqual(treeAt(repository.path), before);
  assert.deepEqual(treeAt(path.join(repository.path, '.git'), ''), gitBefore);
  return true;
}

function mirrorOf(root: string): string {
  const mirrors = path.join(root, 'home', 'mirrors');
  return path.join(mirrors, readdirSync(mirrors).find((name) => name.endsWith('.git')) ?? '');
}
