/**
 * Removes a worktree: its folder and git's entry for it. It does not use `git worktree remove --force --force`, because
 * git refuses cases that must succeed here: incomplete entries, folders with submodules, read-only folders (Go's module
 * cache), paths longer than the system's limit, a missing folder, a missing entry.
 */
import { randomUUID } from 'node:crypto';
import { chmod, readdir, rename, rm } from 'node:fs/promises';
import path from 'node:path';
import { isErrno } from '../contract/errors.ts';
import { removeEntry, sweepStaged } from './add-entry.ts';
import { isMirror } from './mirror.ts';
import { isFolder } from './plain-file.ts';
import { listEntries, removeIfEmpty } from './repository.ts';
import type { WorktreeEntry } from './repository.ts';
import { withLock } from './repository-lock.ts';

export interface ClearOptions {
  readonly worktreePath: string;
  readonly commonDir: string;
  readonly locksDir: string;
  readonly signal?: AbortSignal;
}

/**
 * The folder that holds the `.git` folders of nested repositories while the worktree is collected. It is beside the
 * worktree, so that each move is a rename.
 */
export const nestedGitFolderOf = (worktreePath: string): string => `${worktreePath}.nested-git`;

/**
 * Removes the folder and the entry. If the process dies before this function returns, a second call removes the rest.
 * The caller holds the worktree's lock and has marked the worktree's record as `making`.
 */
export async function clearWorktree(options: ClearOptions): Promise<void> {
  await removeTree(options.worktreePath);
  await removeTree(nestedGitFolderOf(options.worktreePath));
  const { commonDir: subject, locksDir, signal } = options;
  if (!isFolder(subject)) return;
  await withLock({ locksDir, subject, ...(signal && { signal }) }, async () => {
    for (const entry of listEntries(options.commonDir)) {
      if (belongs(entry, options.worktreePath)) await removeEntry(subject, entry.adminDir);
    }
    if (isMirror(locksDir, subject)) await sweepStaged(subject);
    await removeIfEmpty(path.join(options.commonDir, 'worktrees'));
  });
}

/** Returns whether the entry is that of the worktree, or of a worktree that the agent created inside it. */
const belongs = (entry: WorktreeEntry, worktreePath: string): boolean =>
  entry.worktreePath !== undefined && `${entry.worktreePath}/`.startsWith(`${worktreePath}/`);

/**
 * Removes a folder with its content, including folders without write permission and paths longer than the system's
 * limit. A missing folder is no error.
 */
export async function removeTree(folder: string): Promise<void> {
  // `maxRetries` repeats the removal after ENOTEMPTY, because an exiting process of the agent may still write a file.
  const options = { recursive: true, force: true, maxRetries: 5, retryDelay: 20 };
  try {
    await rm(folder, options);
  } catch (error) {
    if (!isErrno(error, 'EACCES', 'EPERM', 'ENAMETOOLONG')) throw error;
    await openFolders(folder);
    await rm(folder, options);
  }
}

/** Half of macOS' path limit of 1024 bytes (Linux: 4096), so that a name of at most 255 bytes can follow. */
const LONG_PATH_BYTES = 512;

/** Gives every folder below `top` write permission, and moves folders with long paths up into `top`. */
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
