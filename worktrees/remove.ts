/**
 * Removes a worktree: its folder, git's entry for it, our record of it.
 *
 * What must never happen: a folder is removed that is neither ours nor empty; a partly removed worktree counts as
 * complete (so its record says `making` before the first file is removed). It starts no git process.
 */
import { lstat, readdir, realpath } from 'node:fs/promises';
import path from 'node:path';
import { LonghaulError } from '../contract/errors.ts';
import { clearWorktree } from './clear.ts';
import { refuseReplaced } from './create.ts';
import { ownerOfWorktree } from './mirror.ts';
import { deleteRecord, readRecord, writeRecord } from './records.ts';
import { adminDirOf, canonical, commonDirOf, findEntry, isOurs, orAbsent, removeIfEmpty } from './repository.ts';
import { withLock } from './repository-lock.ts';

export interface RemoveRequest {
  /**
   * The project's folder. Absent if the project's row was deleted: the repository is then found by the worktree's
   * record, or by the worktree's `.git` if there is no record.
   */
  readonly projectPath?: string;
  readonly worktreePath: string;
  /** The worktree is removed only if it still belongs to this task: another task may have one at the same path. */
  readonly owner?: string;
  readonly signal?: AbortSignal;
}

export interface RemoveContext {
  readonly locksDir: string;
  /** After a worktree is removed, the empty folders above it are removed, too, up to this folder, which stays. */
  readonly root?: string;
}

/** Removes the worktree. `removed` is false if it did not exist. */
export async function removeWorktree(context: RemoveContext, request: RemoveRequest): Promise<{ removed: boolean }> {
  const subject = canonical(request.worktreePath);
  const { locksDir } = context;
  const signal = request.signal && { signal: request.signal };
  return withLock({ locksDir, subject, ...signal }, () => removeLocked(context, request));
}

/** Does what `removeWorktree` does, for a caller that already holds the worktree's lock. */
export async function removeLocked(context: RemoveContext, request: RemoveRequest): Promise<{ removed: boolean }> {
  const { locksDir } = context;
  const worktreePath = canonical(request.worktreePath);
  const signal = request.signal && { signal: request.signal };
  const record = readRecord(locksDir, worktreePath);
  if (request.owner !== undefined && record?.owner !== request.owner) return { removed: false };
  const { projectPath } = request;
  const isThere = projectPath === undefined || commonDirOf(projectPath) !== undefined;
  const owner = ownerOfWorktree({ locksDir, projectPath, record, worktreePath });
  if (record !== undefined && owner === undefined && isThere) {
    throw refused(worktreePath, `it is a worktree of ${record.topLevel}, not of ${projectPath}`);
  }
  const commonDir = record?.commonDir ?? owner;
  const found = record === undefined ? await look(worktreePath, commonDir) : 'ours';
  if (found === 'nothing') return { removed: false };
  if (found !== 'ours') throw refused(worktreePath, found);
  // If a link or a file is at the worktree's path, Longhaul removes the link or file itself, never the link's target.
  if (record !== undefined && (await orAbsent(lstat(worktreePath)))?.isDirectory() === true) refuseReplaced(record);
  if (record !== undefined) writeRecord(locksDir, { ...record, state: 'making' });
  await clearWorktree({ locksDir, worktreePath, commonDir: commonDir ?? worktreePath, ...signal });
  await deleteRecord(locksDir, worktreePath);
  await removeEmptyParents(worktreePath, context.root);
  return { removed: true };
}

/**
 * Describes the folder at a path without a record: `ours`, `nothing`, or the reason why Longhaul must not remove it.
 */
async function look(worktreePath: string, commonDir: string | undefined): Promise<string> {
  const entry = commonDir === undefined ? undefined : findEntry(commonDir, worktreePath);
  if (entry !== undefined) return isOurs(entry) ? 'ours' : 'git lists it as a worktree that Longhaul did not create';
  const status = await orAbsent(lstat(worktreePath));
  if (status === undefined) return 'nothing';
  if (!status.isDirectory()) return 'it is not a folder';
  if ((await readdir(worktreePath)).length === 0) return 'ours';
  if (commonDir === undefined) return 'no project, no record of this home and no .git file names its owner';
  // Git's entry no longer exists, but the folder's `.git` still names the repository.
  const adminDir = adminDirOf(worktreePath);
  const wasOurs = adminDir !== undefined && path.dirname(adminDir) === path.join(commonDir, 'worktrees');
  return wasOurs && (await orAbsent(lstat(adminDir))) === undefined ? 'ours' : 'it is not a worktree of this project';
}

function refused(worktreePath: string, why: string): LonghaulError {
  return new LonghaulError(
    'worktree_in_use',
    `${worktreePath} was not removed: ${why}. Remove it by hand if it is not needed.`,
  );
}

async function removeEmptyParents(worktreePath: string, root: string | undefined): Promise<void> {
  const top = root === undefined ? undefined : await orAbsent(realpath(root));
  if (top === undefined) return;
  for (let at = path.dirname(worktreePath); at.startsWith(`${top}${path.sep}`); at = path.dirname(at)) {
    if (!(await removeIfEmpty(at))) return;
  }
}
