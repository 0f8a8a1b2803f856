/**
 * Takes a worktree away: its folder, and git's entry for it. Does by hand what `git worktree remove
 * --force --force` does, because that refuses where we must not fail: half made entries, folders with
 * submodules, read-only folders (Go's module cache), trees deeper than a path can be long, either half gone
 * already.
 */
import { randomUUID } from 'node:crypto';
import { existsSync } from 'node:fs';
import { chmod, readdir, rename, rm } from 'node:fs/promises';
import path from 'node:path';
import { isErrno } from '../contract/errors.ts';
import { isOwnUnplaced, removeEntry, sweepStaged } from './add-entry.ts';
import { listEntries, orAbsent, removeIfEmpty } from './repository.ts';
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
  if (!existsSync(subject)) return;
  await withLock({ locksDir, subject, ...(signal && { signal }) }, async () => {
    for (const entry of listEntries(options.commonDir)) {
      if (await belongs(entry, options)) await removeEntry(options, entry.adminDir);
    }
    await sweepStaged(options);
    await removeIfEmpty(path.join(options.commonDir, 'worktrees'));
  });
}

/** Its own entry, those of worktrees that the agent made inside it, and what a killed `git worktree add` left. */
async function belongs(entry: WorktreeEntry, { worktreePath, ...held }: ClearOptions): Promise<boolean> {
  if (entry.worktreePath !== undefined) return `${entry.worktreePath}/`.startsWith(`${worktreePath}/`);
  if (isOwnUnplaced(entry, held)) return true;
  const name = path.basename(entry.adminDir).replace(/\d+$/, '');
  const sameName = path.basename(worktreePath).startsWith(name) && name !== '';
  return sameName && ((await orAbsent(readdir(entry.adminDir))) ?? []).length === 0;
}

/** Removes a folder and all in it, also folders without write permission, or deeper than a path can be long. Absent is fine. */
export async function removeTree(folder: string): Promise<void> {
  // ENOTEMPTY is retried: an agent's process that is just ending may still write a file.
  const options = { recursive: true, force: true, maxRetries: 5, retryDelay: 20 };
  try {
    await rm(folder, options);
  } catch (error) {
    if (!isErrno(error, 'EACCES', 'EPERM', 'ENAMETOOLONG')) throw error;
    await openFolders(folder);
    await rm(folder, options);
  }
}

/** Half of macOS' 1024 (Linux: 4096): a name of at most 255 bytes fits behind it. */
const LONG_PATH_BYTES = 512;

/** Gives every folder below `top` write permission, and moves those up to it whose path is long. */
async function openFolders(top: string): Promise<void> {
  await chmod(top, 0o700);
  const folders = [top];
  for (const folder of folders) {
    for (const item of await readdir(folder, { withFileTypes: true })) {
      if (!item.isDirectory()) continue;
      const found = path.join(folder, item.name);
      await chmod(found, 0o700);
      const isLong = Buffer.byteLength(found) > LONG_PATH_BYTES && folder !== top;
      const reachable = isLong ? path.join(top, randomUUID()) : found;
      if (isLong) await rename(found, reachable);
      folders.push(reachable);
    }
  }
}
