/**
 * What a killed step left in a user's repository: git's entries of worktrees that are nowhere, and folders that were on
 * their way in or out. Creating and removing sweep them, too, but only in the repository that they work on.
 *
 * Never: an entry of another home (told by where its worktree lies), or one that is being made (by its age: what has no
 * place yet says nothing of whose it is).
 */
import { lstat, readdir, rm, stat } from 'node:fs/promises';
import path from 'node:path';
import { removeEntry, STAGED } from './add-entry.ts';
import { gitText } from './git.ts';
import { isOurs, listEntries, orAbsent, removeIfEmpty } from './repository.ts';
import { withLock } from './repository-lock.ts';

export interface LeftEntry {
  /** Folder in the repository's own. */
  readonly path: string;
  readonly kind: 'staged' | 'unplaced' | 'lost';
  /** Where its worktree would be; `lost` only. */
  readonly worktreePath?: string;
}

export interface FindLeftEntries {
  readonly commonDir: string;
  /** Where the worktrees of this home are. */
  readonly root: string;
  /** Of what says nothing of whose it is: left alone while younger. */
  readonly olderThanMs: number;
}

export async function findLeftEntries({ commonDir, root, olderThanMs }: FindLeftEntries): Promise<LeftEntry[]> {
  const isOld = async (folder: string): Promise<boolean> => {
    const status = await orAbsent(stat(folder));
    return status !== undefined && Date.now() - status.mtimeMs > olderThanMs;
  };
  const left: LeftEntry[] = [];
  for (const name of (await orAbsent(readdir(commonDir))) ?? []) {
    const folder = path.join(commonDir, name);
    if (name.startsWith(STAGED) && (await isOld(folder))) left.push({ path: folder, kind: 'staged' });
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

/** Looked at again under the repository's lock. */
export async function removeLeftEntry(
  locksDir: string,
  { commonDir, root, olderThanMs }: FindLeftEntries,
  entry: LeftEntry,
): Promise<void> {
  await withLock({ locksDir, subject: commonDir }, async () => {
    const now = await findLeftEntries({ commonDir, root, olderThanMs });
    if (!now.some((one) => one.path === entry.path && one.kind === entry.kind)) return;
    if (entry.kind === 'staged') await rm(entry.path, { recursive: true, force: true });
    else await removeEntry({ locksDir, commonDir }, entry.path);
    await removeIfEmpty(path.join(commonDir, 'worktrees'));
  });
}

export interface ResultRef {
  readonly ref: string;
  readonly taskId: string;
  /** At least this old. */
  readonly ageMs: number;
}

/** Results of tasks that the repository keeps. A commit has its base's date, so a ref's age is that of its file. */
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
