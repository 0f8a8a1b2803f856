/**
 * What the functions that collect one worktree share (`collect.ts` stores the files that the agent left as a commit):
 * the worktree's folders, the options for git on the worktree, and a private copy of its index.
 */
import { constants } from 'node:fs';
import { copyFile, rm, stat, utimes } from 'node:fs/promises';
import path from 'node:path';
import { isErrno } from '../contract/errors.ts';
import { type GitOptions, git, gitError, tryGit } from './git.ts';
import { moveNestedGitAside } from './nested.ts';
import { type WorktreeStatus, parseStatus } from './status.ts';

export interface CollectRequest {
  /**
   * The project's folder. Absent if the project's row was deleted: the repository is then found by the worktree's
   * record, or by the worktree's `.git` if there is no record.
   */
  readonly projectPath?: string;
  readonly worktreePath: string;
  /** Full id of the base commit. The change is relative to this commit, which becomes the parent of the new commit. */
  readonly base: string;
  /** The ref that will name the commit: refs/longhaul/… */
  readonly ref: string;
  readonly message: string;
  /**
   * The worktree is collected only if it still belongs to this task: another task may have a worktree at the same path.
   */
  readonly owner?: string;
  /** The date of the commit. Default: the base's date, so that a second collection creates the same commit. */
  readonly date?: Date;
  readonly signal?: AbortSignal;
}

/** The deepest nesting of repositories within repositories that is collected. Deeper nesting is an accident. */
export const NESTING_LIMIT = 20;

/** One operation that collects a worktree: its request, and where the worktree, its entry and its mirror are. */
export interface Collection {
  readonly request: CollectRequest;
  readonly locksDir: string;
  readonly commonDir: string;
  readonly adminDir: string;
  readonly topLevel: string;
  /** True if this worktree was collected before, so that the ref may exist. */
  readonly again: boolean;
  /** Paths of ignored files that the agent added by force. */
  forced: readonly Buffer[];
  /** The path of a private copy of the worktree's index. */
  readonly index: string;
  /**
   * Options for git commands on the worktree. They name the entry in the mirror, so they do not depend on the
   * worktree's `.git`.
   */
  readonly at: GitOptions;
}

/**
 * Copies the worktree's index, so that git reads only the files that the agent has changed. If the worktree's index was
 * removed, the copy is made from the base. The copy gets the original's time, rounded down, because git reads a file
 * again unless the file is older than the index. With `readAll` the copy is older than any file, so git reads all files
 * again and writes the objects that the repository lacks.
 */
export async function copyIndex({ index, adminDir, request, at }: Collection, { readAll = false } = {}): Promise<void> {
  await rm(`${index}.lock`, { force: true });
  const original = path.join(adminDir, 'index');
  try {
    const mtimeMs = readAll ? 1_000 : (await stat(original)).mtimeMs;
    await copyFile(original, index, constants.COPYFILE_FICLONE);
    await utimes(index, mtimeMs / 1000, Math.floor(mtimeMs) / 1000);
  } catch (error) {
    if (!isErrno(error, 'ENOENT')) throw error;
    await git(['read-tree', request.base], at);
  }
}

/**
 * Returns git's status of the worktree after the `.git` folders of all nested repositories were moved aside. If git
 * could not read a folder, `unreadable` says so, as a clause for a message.
 */
export async function statusWithNestedAside(
  collection: Collection,
): Promise<{ status: WorktreeStatus; unreadable: string | undefined }> {
  const args = ['status', '--porcelain=v2', '-z', '--no-renames', '--untracked-files=all', '--ignored=matching'];
  for (let depth = 0; ; depth += 1) {
    const outcome = await tryGit([...args, '--ignore-submodules=none'], collection.at);
    if (outcome.exitCode !== 0) throw gitError(args, collection.request.worktreePath, outcome);
    const status = parseStatus(outcome.stdout);
    // Git cuts a warning at 4096 bytes, so the closing quote is missing if the folder's path is longer.
    const folder = /could not open directory '([^'\n]{1,200})/.exec(outcome.stderr)?.[1];
    const unreadable = folder === undefined ? undefined : `the folder ${folder} cannot be read`;
    if (status.nested.length === 0 || depth > NESTING_LIMIT) return { status, unreadable };
    for (const nested of status.nested) await moveNestedGitAside(collection.request.worktreePath, nested);
  }
}
