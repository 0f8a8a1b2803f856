/**
 * Worktrees of a home that was moved. Our records and git's entries name them by their former paths, under which no step
 * finds them. The folders are the same ones: a move within a file system changes neither their inodes nor their `.git`
 * files, which lead into the repository.
 *
 * Never: something that lies at a former path is touched; a folder is taken for the worktree because of its path (after a
 * move to another file system each folder is a copy, and a step says so); a record is deleted before the new one is
 * written. Run again after a crash it does what is left.
 */
import { lstatSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { borrowFrom } from './borrow.ts';
import { replacement } from './identity.ts';
import { isMirror } from './mirror.ts';
import { deleteRecord, listRecords, type WorktreeRecord, writeRecord } from './records.ts';
import { ifThere, listEntries } from './repository.ts';
import { withLock } from './repository-lock.ts';

export interface HomeMove {
  readonly locksDir: string;
  /** Real paths of the home. */
  readonly from: string;
  readonly to: string;
}

/** No step may be at work in the home. */
export async function moveWorktrees({ locksDir, from, to }: HomeMove): Promise<void> {
  const records = (await listRecords(locksDir)).filter((record) => isWithin(from, record.worktreePath));
  for (const record of records) {
    const moved = path.join(to, path.relative(from, record.worktreePath));
    // By the former path: a step that was killed has locked that, and its git is ended first.
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
  /** Of the mirror, which moved with the home; of the project, where an earlier version made the worktree. */
  readonly commonDir: string;
}

async function moveOne(locksDir: string, { record, worktreePath, commonDir }: Move): Promise<void> {
  const { worktreePath: former } = record;
  if (ifThere(() => lstatSync(former)) !== undefined) return;
  const adminDir = await withLock({ locksDir, subject: commonDir }, async () => moveEntries(commonDir, former, worktreePath)); // prettier-ignore
  if (adminDir !== undefined) makeLinkAbsolute({ worktreePath, former, adminDir });
  if (isMirror(locksDir, commonDir)) borrowFrom(commonDir, worktreePath);
  const moved = { ...record, worktreePath, commonDir };
  const isCopy = replacement(moved, adminDir) !== undefined;
  writeRecord(locksDir, isCopy ? { ...moved, isCopy } : moved);
  await deleteRecord(locksDir, former);
}

/** Those of the worktree, and of worktrees that an agent made within it. Returns the worktree's own. */
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

/** Git 2.48 can be set to write links as relative paths, which lead elsewhere from here. */
function makeLinkAbsolute({
  worktreePath,
  former,
  adminDir,
}: Record<'worktreePath' | 'former' | 'adminDir', string>): void {
  const dotGit = path.join(worktreePath, '.git');
  if (ifThere(() => lstatSync(dotGit))?.isFile() !== true) return;
  const target = /^gitdir: (.+?)\n*$/s.exec(readFileSync(dotGit, 'utf8'))?.[1];
  if (target === undefined || path.isAbsolute(target) || path.resolve(former, target) !== adminDir) return;
  replaceFile(dotGit, `gitdir: ${adminDir}\n`);
}

function replaceFile(file: string, content: string): void {
  const draft = `${file}.lock`; // as git names it: one that a crash leaves is removed with git's own
  writeFileSync(draft, content);
  renameSync(draft, file);
}

const isWithin = (folder: string, file: string): boolean => file.startsWith(`${folder}${path.sep}`);
