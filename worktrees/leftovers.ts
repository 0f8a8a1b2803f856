/**
 * Finds and removes what killed steps left in a mirror, and what earlier versions left in a user's repository: git's
 * entries of worktrees that do not exist, and folders of unfinished creations and removals. The steps remove such
 * leftovers too, but only in the mirror that they work on.
 *
 * Must never happen: an entry of another home is removed (the path of its worktree identifies the home), or an entry
 * that is being created (it has no path yet, so only an old one is removed).
 */
import { lstat, readdir, rm, stat } from 'node:fs/promises';
import path from 'node:path';
import { removeEntry, STAGED_PREFIX } from './add-entry.ts';
import { gitText } from './git.ts';
import { isOurs, listEntries, orAbsent, removeIfEmpty } from './repository.ts';
import { withLock } from './repository-lock.ts';

export interface LeftEntry {
  /** The absolute path of the entry. The entry is in the repository's git common directory. */
  readonly path: string;
  readonly kind: 'staged' | 'unplaced' | 'lost';
  /** The path of the missing worktree. Only `lost` entries have it. */
  readonly worktreePath?: string;
}

export interface FindLeftEntries {
  readonly commonDir: string;
  /** The folder of this home's worktrees. */
  readonly root: string;
  /**
   * The minimum age of an unfinished entry. A younger one is not removed, because another process may be creating it.
   */
  readonly olderThanMs: number;
}

/**
 * Returns the entries of this home that no worktree needs: unfinished ones that are old enough, and entries whose
 * worktree does not exist.
 */
export async function findLeftEntries({ commonDir, root, olderThanMs }: FindLeftEntries): Promise<LeftEntry[]> {
  const isOld = async (folder: string): Promise<boolean> => {
    const status = await orAbsent(stat(folder));
    return status !== undefined && Date.now() - status.mtimeMs > olderThanMs;
  };
  const left: LeftEntry[] = [];
  for (const name of (await orAbsent(readdir(commonDir))) ?? []) {
    const folder = path.join(commonDir, name);
    if (name.startsWith(STAGED_PREFIX) && (await isOld(folder))) left.push({ path: folder, kind: 'staged' });
  }
  for (const entry of listEntries(commonDir).filter(isOurs)) {
    const { adminDir, worktreePath } = entry;
    if (worktreePath === undefined) {
      if (await isOld(adminDir)) left.push({ path: adminDir, kind: 'unplaced' });
    } else if (worktreePath.startsWith(`${root}${path.sep}`) && (await orAbsent(lstat(worktreePath))) === undefined) {
      left.push({ path: adminDir, kind: 'lost', worktreePath });
    }
  }
  return left;
}

/** Removes the entry after checking again, under the repository's lock, that it is a leftover. */
export async function removeLeftEntry(
  locksDir: string,
  { commonDir, root, olderThanMs }: FindLeftEntries,
  entry: LeftEntry,
): Promise<void> {
  await withLock({ locksDir, subject: commonDir }, async () => {
    const now = await findLeftEntries({ commonDir, root, olderThanMs });
    if (!now.some((one) => one.path === entry.path && one.kind === entry.kind)) return;
    if (entry.kind === 'staged') await rm(entry.path, { recursive: true, force: true });
    else await removeEntry(commonDir, entry.path);
    await removeIfEmpty(path.join(commonDir, 'worktrees'));
  });
}

export interface ResultRef {
  readonly ref: string;
  readonly taskId: string;
  /** The age of the ref's file, in milliseconds. The result is at least this old. */
  readonly ageMs: number;
}

/**
 * Lists the task results in a repository. A commit has its base's date, so the age of the ref's file is used as the age
 * of a result.
 */
export async function listResultRefs(commonDir: string): Promise<ResultRef[]> {
  const text = await gitText(['for-each-ref', '--format=%(refname)', 'refs/longhaul/'], { cwd: commonDir });
  const packed = (await orAbsent(stat(path.join(commonDir, 'packed-refs'))))?.mtimeMs ?? Date.now();
  const found: ResultRef[] = [];
  for (const ref of text.split('\n')) {
    const taskId = /^refs\/longhaul\/(?:tasks|left|branches)\/([0-9a-f-]{36})(?:\/.+)?$/.exec(ref)?.[1];
    if (taskId === undefined) continue;
    const loose = (await orAbsent(stat(path.join(commonDir, ref))))?.mtimeMs;
    found.push({ ref, taskId, ageMs: Date.now() - (loose ?? packed) });
  }
  return found;
}
