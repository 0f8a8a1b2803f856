/**
 * Adds the entry of a worktree to the mirror, and removes it. The steps read the worktree through this entry
 * (gitrepository-layout, `worktrees/`). An entry is created beside the mirror's `worktrees/` folder and moved into it
 * complete; a removal moves it out in the same way.
 *
 * Earlier versions created such entries in the project. `removeEntry` still removes them. Another home may use the same
 * project under a lock of its own. So an entry that is not in its place yet names the home that creates it.
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
import { LOCK_REASON, type WorktreeEntry, orAbsentSync, isOurs } from './repository.ts';

/**
 * The name prefix of an entry that is being moved into or out of `worktrees/`. Meanwhile the entry is directly in the
 * repository's git folder.
 */
export const STAGED_PREFIX = 'longhaul-entry-';
/**
 * Git and other homes remove `worktrees/` when it is empty. `ROOT_ATTEMPTS` failures in a row must have another cause.
 */
const ROOT_ATTEMPTS = 100;

/** A repository, and the home that holds the lock on it. */
export interface LockedRepository {
  readonly locksDir: string;
  readonly commonDir: string;
}

export interface AddEntry {
  readonly locksDir: string;
  readonly mirror: string;
  /** The worktree's folder. It must not exist, or must be empty. */
  readonly worktreePath: string;
  readonly base: string;
}

/**
 * Adds the worktree's entry to the mirror and returns the path of the entry. The caller holds the mirror's lock. If the
 * process is killed meanwhile, `sweepStaged` removes the incomplete entry later. Throws `repository_locked` if another
 * process removed the folder that this call was creating.
 */
export async function addEntry({ locksDir, mirror: commonDir, worktreePath, base }: AddEntry): Promise<string> {
  await sweepStaged({ locksDir, commonDir });
  const staged = stagedIn({ locksDir, commonDir });
  // These file operations are synchronous, like those of the locks: there are about a dozen small files, and the
  // repository is locked meanwhile.
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

/**
 * Removes an entry of git. The caller holds the repository's lock. If the entry does not exist, this function does
 * nothing.
 */
export async function removeEntry(held: LockedRepository, adminDir: string): Promise<void> {
  const staged = stagedIn(held);
  try {
    await rename(adminDir, staged);
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return;
    throw error;
  }
  // Any home may remove an old entry without a worktree path (leftovers.ts). The entry gets the current time, so that
  // it does not count as old.
  utimesSync(staged, new Date(), new Date());
  await rm(staged, { recursive: true, force: true });
}

/**
 * Removes the incomplete entries that killed processes left. The caller holds this home's lock on the repository, so no
 * other process of the home uses these entries.
 */
export async function sweepStaged(held: LockedRepository): Promise<void> {
  const own = `${STAGED_PREFIX}${homeOf(held.locksDir)}-`;
  const names = (await readdir(held.commonDir)).filter((name) => name.startsWith(own));
  for (const name of names) await rm(path.join(held.commonDir, name), { recursive: true, force: true });
}

/**
 * Whether this home created the entry and the entry has no worktree path, because the git process was killed before it
 * wrote the path. The caller holds the lock.
 */
export const isOwnWithoutPath = (entry: WorktreeEntry, { locksDir, commonDir }: LockedRepository): boolean =>
  entry.worktreePath === undefined &&
  isOurs(entry) &&
  (isMirror(locksDir, commonDir) || entry.lockReason?.includes(homeOf(locksDir)) === true);

const stagedIn = ({ locksDir, commonDir }: LockedRepository): string =>
  path.join(commonDir, `${STAGED_PREFIX}${homeOf(locksDir)}-${randomUUID()}`);

/**
 * An id of the home. The id depends on the inode of the lock folder, so homes with the same path in two containers have
 * different ids.
 */
function homeOf(locksDir: string): string {
  const name = `${realpathSync(locksDir)} ${statSync(locksDir).ino}`;
  return `home-${createHash('sha256').update(name).digest('hex').slice(0, 16)}`;
}

function removedFolderError(folder: string): LonghaulError {
  return new LonghaulError('repository_locked', `Another process removed ${folder} while git created it. Try again.`);
}

/**
 * Moves the entry into `worktrees/` and returns its path. The entry's name becomes part of refs
 * (`worktrees/<name>/HEAD`), so other characters become `-`. If the name is taken, a number is appended, as git does.
 * Throws ENOENT if `staged` no longer exists, or if `root` was removed again after each of the attempts.
 */
function moveIn(staged: string, root: string, wanted: string): string {
  const name = wanted.replace(/[^\w-]+/g, '-');
  let withoutRoot = 0;
  for (let number = 0; ;) {
    const adminDir = path.join(root, number === 0 ? name : `${name}${number}`);
    // An empty folder at the target remains from a killed git. The rename replaces it.
    try {
      if (!holdsFiles(adminDir)) {
        renameSync(staged, adminDir);
        return adminDir;
      }
    } catch (error) {
      if (isErrno(error, 'ENOENT') && existsSync(staged) && withoutRoot < ROOT_ATTEMPTS) {
        // Git removes `worktrees` together with the last entry in it, and so does another home.
        mkdirSync(root, { recursive: true });
        withoutRoot += 1;
        continue;
      }
      if (!isErrno(error, 'ENOTEMPTY', 'EEXIST')) throw error;
    }
    number += 1;
  }
}

const holdsFiles = (folder: string): boolean => (orAbsentSync(() => readdirSync(folder)) ?? []).length > 0;
