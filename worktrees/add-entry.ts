/**
 * Adds the entry of a worktree to the mirror, and removes it. The steps read the worktree through this entry
 * (gitrepository-layout, `worktrees/`). An entry is created beside the mirror's `worktrees/` folder and moved into that
 * folder when it is complete. A removal first moves it out again, so `worktrees/` never has an incomplete entry.
 */
import { randomUUID } from 'node:crypto';
import { mkdirSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { readdir, rename, rm } from 'node:fs/promises';
import path from 'node:path';
import { isErrno, LonghaulError } from '../contract/errors.ts';
import { LOCK_REASON, orAbsentSync } from './repository.ts';

/**
 * The name prefix of an entry that is being moved into or out of `worktrees/`. Meanwhile the entry is directly in the
 * repository's git folder.
 */
export const STAGED_PREFIX = 'longhaul-entry-';

export interface AddEntry {
  readonly mirror: string;
  /** The worktree's folder. It must not exist, or must be empty. */
  readonly worktreePath: string;
  readonly base: string;
}

/**
 * Adds the worktree's entry to the mirror and returns the path of the entry. The caller holds the mirror's lock. If the
 * process is killed during the call, `sweepStaged` removes the incomplete entry later. Throws `repository_locked` if
 * another process removed the folder that this call was creating.
 */
export async function addEntry({ mirror, worktreePath, base }: AddEntry): Promise<string> {
  await sweepStaged(mirror);
  const staged = stagedIn(mirror);
  // These file operations are synchronous, like those of the locks: there are about a dozen small files, and the
  // repository is locked meanwhile.
  try {
    mkdirSync(staged);
    mkdirSync(worktreePath, { recursive: true });
    const dotGit = path.join(worktreePath, '.git');
    const content = { locked: LOCK_REASON, HEAD: base, commondir: '../..', gitdir: dotGit };
    for (const [name, line] of Object.entries(content)) writeFileSync(path.join(staged, name), `${line}\n`);
    return moveIn(staged, path.join(mirror, 'worktrees'), path.basename(worktreePath));
  } catch (error) {
    rmSync(staged, { recursive: true, force: true });
    if (!isErrno(error, 'ENOENT')) throw error;
    throw new LonghaulError('repository_locked', `Another process removed ${staged} while it was created. Try again.`);
  }
}

/**
 * Removes the entry of a worktree from the repository. The caller holds the repository's lock. If the entry does not
 * exist, this function does nothing.
 */
export async function removeEntry(commonDir: string, adminDir: string): Promise<void> {
  const staged = stagedIn(commonDir);
  try {
    await rename(adminDir, staged);
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return;
    throw error;
  }
  await rm(staged, { recursive: true, force: true });
}

/**
 * Removes the incomplete entries that killed processes left in the mirror. The caller holds the mirror's lock, so no
 * other process uses these entries.
 */
export async function sweepStaged(mirror: string): Promise<void> {
  const names = (await readdir(mirror)).filter((name) => name.startsWith(STAGED_PREFIX));
  for (const name of names) await rm(path.join(mirror, name), { recursive: true, force: true });
}

const stagedIn = (commonDir: string): string => path.join(commonDir, `${STAGED_PREFIX}${randomUUID()}`);

/**
 * Moves the entry into `worktrees/` and returns its new path. Git uses the entry's name in refs
 * (`worktrees/<name>/HEAD`), so characters that are not allowed there become `-`. If another entry has this name
 * already, a number is appended, as git does.
 */
function moveIn(staged: string, root: string, wanted: string): string {
  mkdirSync(root, { recursive: true });
  const name = wanted.replace(/[^\w-]+/g, '-');
  for (let number = 0; ; number += 1) {
    const adminDir = path.join(root, number === 0 ? name : `${name}${number}`);
    if ((orAbsentSync(() => readdirSync(adminDir)) ?? []).length > 0) continue;
    renameSync(staged, adminDir); // a rename replaces an empty folder of this name
    return adminDir;
  }
}
