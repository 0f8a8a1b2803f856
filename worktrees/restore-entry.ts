/**
 * Creates the mirror's entry of a worktree again if the mirror was removed or damaged while an agent worked. Without
 * the entry the agent's work could not be stored.
 */
import { lstatSync } from 'node:fs';
import { addEntry } from './add-entry.ts';
import { fillEntry } from './borrow.ts';
import { tryGit, WITHOUT_NETWORK } from './git.ts';
import { ensureMirror, isMirror } from './mirror.ts';
import { type WorktreeRecord, writeRecord } from './records.ts';
import { findEntry, orAbsentSync, inspect } from './repository.ts';
import { withLock } from './repository-lock.ts';

/**
 * Returns the worktree's record. If the worktree's entry in the mirror is missing, the entry is created again. The new
 * entry lacks the index of the checkout, so git then reads every file. The caller holds the worktree's lock and has
 * checked that the worktree's folder is the one that Longhaul created. Returns undefined if the project lacks the
 * commit on which the worktree is based.
 */
export async function ensureEntry(
  locksDir: string,
  record: WorktreeRecord,
  given?: AbortSignal,
): Promise<WorktreeRecord | undefined> {
  const { worktreePath, commonDir, topLevel, base } = record;
  const isThere = orAbsentSync(() => lstatSync(worktreePath))?.isDirectory() === true;
  if (!isThere || !isMirror(locksDir, commonDir) || findEntry(commonDir, worktreePath) !== undefined) return record;
  const signal = given && { signal: given };
  const repository = await inspect(topLevel, { ...signal });
  const mirror = await ensureMirror({ locksDir, repository, because: 'missing', ...signal });
  const found = await tryGit(['cat-file', '-e', `${base}^{commit}`], { cwd: mirror, env: WITHOUT_NETWORK, ...signal });
  if (found.exitCode !== 0) return undefined;
  const adminDir = await withLock({ locksDir, subject: mirror, ...signal }, () =>
    addEntry({ mirror, worktreePath, base }),
  );
  fillEntry({ mirror, worktreePath, adminDir, base }, repository);
  const restored = { ...record, commonDir: mirror };
  writeRecord(locksDir, restored);
  return restored;
}
