/**
 * Updates the worktrees of a home that was moved. Longhaul's records and git's entries have the former paths of the
 * worktrees, so no step would find them. The folders themselves are the same: a move within a file system changes
 * neither their inodes nor their `.git` files.
 *
 * Must never happen: a file at a former path is changed; a folder counts as the worktree because of its path alone
 * (after a move to another file system each folder is a copy, and a step reports that); a record is deleted before the
 * new one is written. After a crash a second call of `moveWorktrees` completes the update.
 */
import { lstatSync } from 'node:fs';
import path from 'node:path';
import { writeMirrorPath } from './borrow.ts';
import { makeFormerLinkAbsolute, replaceFile } from './former.ts';
import { whyReplaced } from './identity.ts';
import { isMirror } from './mirror.ts';
import { deleteRecord, listRecords, type WorktreeRecord, writeRecord } from './records.ts';
import { orAbsentSync, listEntries } from './repository.ts';
import { withLock } from './repository-lock.ts';

export interface HomeMove {
  readonly locksDir: string;
  /** Real path of the home before the move. */
  readonly from: string;
  readonly to: string;
}

/** Updates all worktrees of the home. Call it while no step works in the home. */
export async function moveWorktrees({ locksDir, from, to }: HomeMove): Promise<void> {
  const records = (await listRecords(locksDir)).filter((record) => isWithin(from, record.worktreePath));
  for (const record of records) {
    const moved = path.join(to, path.relative(from, record.worktreePath));
    // The lock of the former path is taken, because a killed step may hold it. Taking it over ends the git processes of
    // that step.
    const { commonDir } = record;
    const owner = isWithin(from, commonDir) ? path.join(to, path.relative(from, commonDir)) : commonDir;
    await withLock({ locksDir, subject: record.worktreePath }, () =>
      moveOne(locksDir, { record, worktreePath: moved, commonDir: owner }),
    );
  }
}

interface Move {
  readonly record: WorktreeRecord;
  readonly worktreePath: string;
  /**
   * The git common directory that has the entry: the mirror, which moved with the home, or the project if an earlier
   * version created the worktree.
   */
  readonly commonDir: string;
}

async function moveOne(locksDir: string, { record, worktreePath, commonDir }: Move): Promise<void> {
  const { worktreePath: former } = record;
  if (orAbsentSync(() => lstatSync(former)) !== undefined) return;
  const adminDir = await withLock({ locksDir, subject: commonDir }, async () => moveEntries(commonDir, former, worktreePath)); // prettier-ignore
  if (adminDir !== undefined) makeFormerLinkAbsolute({ worktreePath, former, adminDir });
  if (isMirror(locksDir, commonDir)) writeMirrorPath(commonDir, worktreePath);
  const moved = { ...record, worktreePath, commonDir };
  const isCopy = whyReplaced(moved, adminDir) !== undefined;
  writeRecord(locksDir, isCopy ? { ...moved, isCopy } : moved);
  await deleteRecord(locksDir, former);
}

/**
 * Updates git's entries of the worktree and of worktrees that an agent created within it. Returns the path of the
 * worktree's own entry.
 */
function moveEntries(commonDir: string, former: string, worktreePath: string): string | undefined {
  let own: string | undefined;
  for (const { adminDir, worktreePath: named } of listEntries(commonDir)) {
    if (named === undefined || !(named === worktreePath || named === former || isWithin(former, named))) continue;
    if (named === former || named === worktreePath) own = adminDir;
    if (named !== worktreePath) {
      const folder = path.join(worktreePath, path.relative(former, named));
      replaceFile(path.join(adminDir, 'gitdir'), `${path.join(folder, '.git')}\n`);
    }
  }
  return own;
}

const isWithin = (folder: string, file: string): boolean => file.startsWith(`${folder}${path.sep}`);
