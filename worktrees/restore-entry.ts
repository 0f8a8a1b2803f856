/** The entry of a worktree whose mirror was removed or damaged while an agent worked: made again, so that its work can be stored. */
import { lstatSync } from 'node:fs';
import { addEntry } from './add-entry.ts';
import { fillEntry } from './borrow.ts';
import { tryGit } from './git.ts';
import { ensureMirror, isMirror } from './mirror.ts';
import { type WorktreeRecord, writeRecord } from './records.ts';
import { findEntry, ifThere, inspect } from './repository.ts';
import { withLock } from './repository-lock.ts';

/**
 * The record of the worktree, with its entry where that was missing and can be made. Without an index of the checkout: git
 * then reads every file. The caller holds the worktree's lock, and has seen that its folder is the one that was made.
 * undefined: the project has not the commit that the worktree began from.
 */
export async function withEntry(
  locksDir: string,
  record: WorktreeRecord,
  given?: AbortSignal,
): Promise<WorktreeRecord | undefined> {
  const { worktreePath, commonDir, topLevel, base } = record;
  const isThere = ifThere(() => lstatSync(worktreePath))?.isDirectory() === true;
  if (!isThere || !isMirror(locksDir, commonDir) || findEntry(commonDir, worktreePath) !== undefined) return record;
  const signal = given && { signal: given };
  const repository = await inspect(topLevel, { ...signal });
  const mirror = await ensureMirror({ locksDir, repository, because: 'missing', ...signal });
  const found = await tryGit(['cat-file', '-e', `${base}^{commit}`], { cwd: mirror, ...signal });
  if (found.exitCode !== 0) return undefined;
  const adminDir = await withLock({ locksDir, subject: mirror, ...signal }, () =>
    addEntry({ locksDir, mirror, worktreePath, base }),
  );
  fillEntry({ mirror, worktreePath, adminDir, base }, repository);
  const restored = { ...record, commonDir: mirror };
  writeRecord(locksDir, restored);
  return restored;
}
