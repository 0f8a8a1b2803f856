/**
 * A user at work: one command after the other, each run in the project and in a twin of it in which no task works. After each
 * the two git folders must be equal byte for byte. Dates are fixed (`gitIn`) and packs are written by one thread, so the same
 * commands make the same files. The index is compared by its entries, because it has the times of the checkout's files.
 */
import { createHash } from 'node:crypto';
import { lstat, readdir, readFile, readlink, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { gitIn } from '../../lab/repositories.ts';

/** Every file below the folder, by path: mode and hash. Not times: a user's own `git status` refreshes them. */
export async function bytesOf(folder: string, leftOut: readonly string[] = []): Promise<Record<string, string>> {
  const found: Record<string, string> = {};
  for (const name of (await readdir(folder, { recursive: true })).sort()) {
    if (leftOut.includes(name)) continue;
    const file = path.join(folder, name);
    const status = await lstat(file);
    if (status.isDirectory()) found[name] = 'folder';
    else if (status.isSymbolicLink()) found[name] = `link ${await readlink(file)}`;
    else
      found[name] = `${status.mode} ${createHash('sha256')
        .update(await readFile(file))
        .digest('hex')}`;
  }
  return found;
}

/** All of a repository that a task must not change. */
export async function repositoryBytes(checkout: string): Promise<Record<string, string>> {
  return {
    ...(await bytesOf(path.join(checkout, '.git'), ['index'])),
    index: await gitIn(checkout, 'ls-files', '--stage', '--debug').then((text) =>
      text.replace(/^ {2}(ctime|mtime|dev|uid|size).*$/gm, '').replace(/\n+/g, '\n'),
    ),
    files: JSON.stringify(await bytesOf(checkout, ['.git', ...(await below(checkout, '.git'))])),
  };
}

const below = async (checkout: string, name: string): Promise<string[]> =>
  (await readdir(path.join(checkout, name), { recursive: true })).map((one) => path.join(name, one));

/** A round of commands. `round` makes the commits of one round differ from those of others. */
const ROUNDS: readonly ((round: number) => readonly string[][])[] = [
  (round) => [['commit', '--quiet', '--all', '--message', `Round ${round}`]],
  (round) => [['commit', '--quiet', '--all', '--amend', '--message', `Amended ${round}`]],
  () => [
    ['reflog', 'expire', '--expire=now', '--all'],
    ['gc', '--quiet', '--prune=now'],
  ],
  (round) => [
    ['commit', '--quiet', '--all', '--message', `Before a rebase ${round}`],
    ['rebase', '--quiet', '--force-rebase', 'HEAD~1'],
  ],
  () => [
    ['prune', '--expire', 'now'],
    ['worktree', 'prune', '--expire', 'now'],
  ],
  (round) => [
    ['tag', `v${round}`],
    ['branch', `side-${round}`],
    ['pack-refs', '--all'],
    ['tag', '--delete', `v${round}`],
  ],
  () => [
    ['stash', 'push', '--quiet'],
    ['stash', 'pop', '--quiet'],
    ['repack', '-a', '-d', '--quiet'],
  ],
  (round) => [
    ['config', 'user.round', String(round)],
    ['config', '--unset', 'user.round'],
    ['reset', '--quiet', '--hard'],
  ],
  () => [
    ['checkout', '--quiet', '-B', 'topic'],
    ['commit', '--quiet', '--allow-empty', '-m', 'On topic'],
    ['checkout', '--quiet', 'main'],
    ['merge', '--quiet', '--no-ff', '-m', 'Merged', 'topic'],
  ],
];

/** One round, in the project and in its twin. */
export async function workOnBoth(checkouts: readonly string[], round: number): Promise<void> {
  const commands = ROUNDS[round % ROUNDS.length]?.(round) ?? [];
  for (const checkout of checkouts) {
    await writeFile(path.join(checkout, 'README.md'), `edit ${round}\n`);
    for (const command of commands) await gitIn(checkout, ...command);
  }
}
