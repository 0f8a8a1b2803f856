/**
 * Takes a worktree away: its folder, and git's entry for it. Does by hand what `git worktree remove
 * --force --force` does, because that refuses where we must not fail: half made entries, folders with
 * submodules, read-only folders (Go's module cache), either half gone already.
 */
import { chmod, lstat, readdir, rm } from 'node:fs/promises';
import path from 'node:path';
import { isErrno } from '../workflows/errors.ts';
import { removeEntry, sweepStaged } from './add-entry.ts';
import { isOurs, listEntries, orAbsent, removeIfEmpty } from './repository.ts';
import type { WorktreeEntry } from './repository.ts';
import { withLock } from './repository-lock.ts';

export interface ClearOptions {
  readonly worktreePath: string;
  readonly commonDir: string;
  readonly locksDir: string;
  readonly signal?: AbortSignal;
}

/** Where `.git` folders of nested repositories lie while the worktree is collected: beside it, so that a move is a rename. */
export const asideOf = (worktreePath: string): string => `${worktreePath}.nested-git`;

/** Run again after a crash it does what is left. The caller holds the worktree's lock and has marked its record. */
export async function clearWorktree(options: ClearOptions): Promise<void> {
  await removeTree(options.worktreePath);
  await removeTree(asideOf(options.worktreePath));
  const { commonDir: subject, locksDir, signal } = options;
  if ((await orAbsent(lstat(subject))) === undefined) return;
  await withLock({ locksDir, subject, ...(signal && { signal }) }, async () => {
    for (const entry of await listEntries(options.commonDir)) {
      if (await belongs(entry, options.worktreePath)) await removeEntry(options.commonDir, entry.adminDir);
    }
    await sweepStaged(options.commonDir);
    await removeIfEmpty(path.join(options.commonDir, 'worktrees'));
  });
}

/** Its own entry, those of worktrees that the agent made inside it, and what a killed `git worktree add` left. */
async function belongs(entry: WorktreeEntry, worktreePath: string): Promise<boolean> {
  if (entry.worktreePath !== undefined) return `${entry.worktreePath}/`.startsWith(`${worktreePath}/`);
  // We hold the lock, so no other step of ours is between making the entry and saying where its folder is.
  if (isOurs(entry)) return true;
  const name = path.basename(entry.adminDir).replace(/\d+$/, '');
  const sameName = path.basename(worktreePath).startsWith(name) && name !== '';
  return sameName && ((await orAbsent(readdir(entry.adminDir))) ?? []).length === 0;
}

/** Removes a folder and all in it, also folders without write permission. Absent is fine. */
export async function removeTree(folder: string): Promise<void> {
  // ENOTEMPTY is retried: an agent's process that is just ending may still write a file.
  const options = { recursive: true, force: true, maxRetries: 5, retryDelay: 20 };
  try {
    await rm(folder, options);
  } catch (error) {
    if (!isErrno(error, 'EACCES', 'EPERM')) throw error;
    await openFolders(folder);
    await rm(folder, options);
  }
}

async function openFolders(folder: string): Promise<void> {
  await chmod(folder, 0o700);
  for (const item of await readdir(folder, { withFileTypes: true })) {
    if (item.isDirectory()) await openFolders(path.join(folder, item.name));
  }
}
