/**
 * Makes a worktree known to git, without its files.
 *
 * `git worktree add` shows an entry before it is whole: for some milliseconds its HEAD names no commit and
 * its `commondir` is empty, and a `git gc` of the user's that looks then fails ("bad object
 * worktrees/…/HEAD"; met within seconds by 20 creations beside a loop of gc, git 2.39). So the entry is made
 * beside `worktrees/` and moved there whole, and leaves in the same way. The repositories whose entries
 * hold more than that, which only git knows how to make, are left to git.
 */
import { randomUUID } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, renameSync, writeFileSync } from 'node:fs';
import { readdir, rename, rm } from 'node:fs/promises';
import path from 'node:path';
import { isErrno } from '../workflows/errors.ts';
import { git } from './git.ts';
import { LOCK_REASON, type Repository, adminDirOf } from './repository.ts';

/** In the repository's own folder, for the moment of a move. */
export const STAGED = 'longhaul-entry-';

export interface AddEntry {
  readonly repository: Repository;
  /** Absent or an empty folder. */
  readonly worktreePath: string;
  readonly base: string;
  readonly signal?: AbortSignal;
}

/** The caller holds the repository's lock. Killed midway it leaves what `sweepStaged` removes. */
export async function addEntry(options: AddEntry): Promise<void> {
  const { repository, worktreePath, base, signal } = options;
  if (await holdsMore(repository)) {
    const args = ['worktree', 'add', '--quiet', '--no-checkout', '--detach', '--lock', '--reason', LOCK_REASON];
    await git([...args, worktreePath, base], { cwd: repository.topLevel, ...(signal && { signal }) });
    return;
  }
  await sweepStaged(repository.commonDir);
  const staged = path.join(repository.commonDir, `${STAGED}${randomUUID()}`);
  // Synchronously, like the locks: a dozen small files, with the repository locked meanwhile.
  mkdirSync(staged);
  mkdirSync(worktreePath, { recursive: true });
  const dotGit = path.join(worktreePath, '.git');
  const content = { locked: LOCK_REASON, HEAD: base, commondir: '../..', gitdir: dotGit };
  for (const [name, line] of Object.entries(content)) writeFileSync(path.join(staged, name), `${line}\n`);
  const adminDir = moveIn(staged, path.join(repository.commonDir, 'worktrees'), path.basename(worktreePath));
  writeFileSync(dotGit, `gitdir: ${adminDir}\n`);
}

/** The caller holds the repository's lock. */
export async function removeEntry(commonDir: string, adminDir: string): Promise<void> {
  const staged = path.join(commonDir, `${STAGED}${randomUUID()}`);
  await rename(adminDir, staged);
  await rm(staged, { recursive: true, force: true });
}

/** Removes what was coming or going as its process was killed: with the lock held, nobody else is at it. */
export async function sweepStaged(commonDir: string): Promise<void> {
  const names = (await readdir(commonDir)).filter((name) => name.startsWith(STAGED));
  for (const name of names) await rm(path.join(commonDir, name), { recursive: true, force: true });
}

/** Refs in tables, settings for each worktree, sparse checkouts. */
async function holdsMore({ commonDir, topLevel }: Repository): Promise<boolean> {
  const ownDir = adminDirOf(topLevel) ?? commonDir;
  const signs = ['reftable', 'config.worktree'].map((name) => path.join(commonDir, name));
  signs.push(path.join(ownDir, 'config.worktree'), path.join(ownDir, 'info', 'sparse-checkout'));
  return signs.some((sign) => existsSync(sign));
}

/** A name is part of refs (`worktrees/<name>/HEAD`): only what any ref may hold. A taken one gets a number, as git does it. */
function moveIn(staged: string, root: string, wanted: string): string {
  const name = wanted.replace(/[^\w-]+/g, '-');
  for (let number = 0; ;) {
    const adminDir = path.join(root, number === 0 ? name : `${name}${number}`);
    // An empty folder is replaced: a killed git made it.
    const taken = existsSync(adminDir) && readdirSync(adminDir).length > 0;
    try {
      if (!taken) {
        renameSync(staged, adminDir);
        return adminDir;
      }
    } catch (error) {
      // Git removes `worktrees` with the last entry in it.
      if (isErrno(error, 'ENOENT')) {
        mkdirSync(root, { recursive: true });
        continue;
      }
      if (!isErrno(error, 'ENOTEMPTY', 'EEXIST')) throw error;
    }
    number += 1;
  }
}
