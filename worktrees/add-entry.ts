/**
 * The entry of a worktree in the mirror, by which the steps read the worktree (gitrepository-layout, `worktrees/`). It is made
 * beside `worktrees/` and moved there whole, and leaves in the same way.
 *
 * Earlier versions made such entries in the project, and those still leave through here. Another home may be at the same
 * project, and its lock is another file, so whatever is without a place yet names its home.
 */
import { createHash, randomUUID } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  readdirSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { readdir, rename, rm } from 'node:fs/promises';
import path from 'node:path';
import { isErrno, LonghaulError } from '../contract/errors.ts';
import { isMirror } from './mirror.ts';
import { LOCK_REASON, type WorktreeEntry, ifThere, isOurs } from './repository.ts';

/** In the repository's own folder, for the moment of a move. */
export const STAGED = 'longhaul-entry-';
/** Git and other homes remove `worktrees/` when it is empty; more often than this in a row it is something else. */
const ROOT_ATTEMPTS = 100;

/** A repository, and the home whose lock of it is held. */
export interface Held {
  readonly locksDir: string;
  readonly commonDir: string;
}

export interface AddEntry {
  readonly locksDir: string;
  readonly mirror: string;
  /** Absent or an empty folder. */
  readonly worktreePath: string;
  readonly base: string;
}

/**
 * Returns the entry. The caller holds the mirror's lock. Killed midway it leaves what `sweepStaged` removes. Throws `repository_locked`
 * if another process removed what it was creating.
 */
export async function addEntry({ locksDir, mirror: commonDir, worktreePath, base }: AddEntry): Promise<string> {
  await sweepStaged({ locksDir, commonDir });
  const staged = stagedIn({ locksDir, commonDir });
  // Synchronously, like the locks: a dozen small files, with the repository locked meanwhile.
  try {
    mkdirSync(staged);
    mkdirSync(worktreePath, { recursive: true });
    const dotGit = path.join(worktreePath, '.git');
    const content = { locked: LOCK_REASON, HEAD: base, commondir: '../..', gitdir: dotGit };
    for (const [name, line] of Object.entries(content)) writeFileSync(path.join(staged, name), `${line}\n`);
    return moveIn(staged, path.join(commonDir, 'worktrees'), path.basename(worktreePath));
  } catch (error) {
    rmSync(staged, { recursive: true, force: true });
    throw isErrno(error, 'ENOENT') ? removedFolderError(staged) : error;
  }
}

/** The caller holds the repository's lock. Absent is fine. */
export async function removeEntry(held: Held, adminDir: string): Promise<void> {
  const staged = stagedIn(held);
  try {
    await rename(adminDir, staged);
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return;
    throw error;
  }
  // Any home may remove an old entry without a worktree path (leftovers.ts): the new time protects this one.
  utimesSync(staged, new Date(), new Date());
  await rm(staged, { recursive: true, force: true });
}

/** Removes half-made and half-removed entries of killed processes. The caller holds this home's lock, so no other process of the home uses them. */
export async function sweepStaged(held: Held): Promise<void> {
  const own = `${STAGED}${homeOf(held.locksDir)}-`;
  const names = (await readdir(held.commonDir)).filter((name) => name.startsWith(own));
  for (const name of names) await rm(path.join(held.commonDir, name), { recursive: true, force: true });
}

/** Whether a git that this home started was killed before it said where the worktree is. The caller holds the lock. */
export const isOwnUnplaced = (entry: WorktreeEntry, { locksDir, commonDir }: Held): boolean =>
  entry.worktreePath === undefined &&
  isOurs(entry) &&
  (isMirror(locksDir, commonDir) || entry.lockReason?.includes(homeOf(locksDir)) === true);

const stagedIn = ({ locksDir, commonDir }: Held): string =>
  path.join(commonDir, `${STAGED}${homeOf(locksDir)}-${randomUUID()}`);

/** Tells homes apart, also two of one path in two containers: the inode. */
function homeOf(locksDir: string): string {
  const name = `${realpathSync(locksDir)} ${statSync(locksDir).ino}`;
  return `home-${createHash('sha256').update(name).digest('hex').slice(0, 16)}`;
}

function removedFolderError(folder: string): LonghaulError {
  return new LonghaulError('repository_locked', `Another process removed ${folder} while git created it. Try again.`);
}

/**
 * A name is part of refs (`worktrees/<name>/HEAD`): only what any ref may hold. A taken one gets a number, as git does it.
 * ENOENT: `staged` is gone, or `root` again and again.
 */
function moveIn(staged: string, root: string, wanted: string): string {
  const name = wanted.replace(/[^\w-]+/g, '-');
  let withoutRoot = 0;
  for (let number = 0; ;) {
    const adminDir = path.join(root, number === 0 ? name : `${name}${number}`);
    // An empty folder is replaced: a killed git made it.
    try {
      if (!holdsFiles(adminDir)) {
        renameSync(staged, adminDir);
        return adminDir;
      }
    } catch (error) {
      if (isErrno(error, 'ENOENT') && existsSync(staged) && withoutRoot < ROOT_ATTEMPTS) {
        // Git removes `worktrees` with the last entry in it, and so does another home.
        mkdirSync(root, { recursive: true });
        withoutRoot += 1;
        continue;
      }
      if (!isErrno(error, 'ENOTEMPTY', 'EEXIST')) throw error;
    }
    number += 1;
  }
}

const holdsFiles = (folder: string): boolean => (ifThere(() => readdirSync(folder)) ?? []).length > 0;
