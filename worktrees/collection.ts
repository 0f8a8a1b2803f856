/** What a collection works on: the worktree's files, seen by git through an index of our own. */
import { constants } from 'node:fs';
import { copyFile, rm, stat, utimes } from 'node:fs/promises';
import path from 'node:path';
import { isErrno } from '../contract/errors.ts';
import { type GitOptions, git, gitError, tryGit } from './git.ts';
import { moveAside } from './nested.ts';
import type { Quarantine } from './quarantine.ts';
import { type WorktreeStatus, parseStatus } from './status.ts';

export interface CollectRequest {
  /** Absent if the project is not known any more: then the worktree's record names the repository, else its `.git`. */
  readonly projectPath?: string;
  readonly worktreePath: string;
  /** Full id of the commit that the change is against; the new commit's parent. */
  readonly base: string;
  /** Where the commit is kept: refs/longhaul/… */
  readonly ref: string;
  readonly message: string;
  /** Only if it is still this task's: another may have one at the same path by now. */
  readonly owner?: string;
  /** Of the commit. Default: the base's own, so that a second run makes the same commit. */
  readonly date?: Date;
  readonly signal?: AbortSignal;
}

/** Nested repositories can hold nested ones; deeper than this is an accident. */
export const NESTING_LIMIT = 20;

export interface Collection {
  readonly request: CollectRequest;
  readonly locksDir: string;
  readonly commonDir: string;
  readonly adminDir: string;
  readonly topLevel: string;
  /** It was collected before, so that the ref may be there. */
  readonly again: boolean;
  /** Ignored files that the agent added by force. */
  forced: readonly Buffer[];
  /** A private copy of the worktree's. */
  readonly index: string;
  readonly quarantine: Quarantine;
  /** Git's view of the worktree, whatever became of its `.git` file. */
  readonly at: GitOptions;
}

/**
 * The worktree's index, so that only what the agent touched is read again; without one (it was removed),
 * the base's. The copy keeps the time of the original, rounded down: git compares a file anew if it is
 * not older than the index. `readAll`: the copy is older than any file, so that git reads all of them again, and writes
 * what it does not have.
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

/** What is there, after all nested repositories are moved aside. `unreadable`: a folder that git could not look into. */
export async function survey(
  collection: Collection,
): Promise<{ status: WorktreeStatus; unreadable: string | undefined }> {
  const args = ['status', '--porcelain=v2', '-z', '--no-renames', '--untracked-files=all', '--ignored=matching'];
  for (let depth = 0; ; depth += 1) {
    const outcome = await tryGit([...args, '--ignore-submodules=none'], collection.at);
    if (outcome.exitCode !== 0) throw gitError(args, collection.request.worktreePath, outcome);
    const status = parseStatus(outcome.stdout);
    // Git cuts a warning at 4096 bytes: for a folder too deep to open, the quote at the end is missing.
    const folder = /could not open directory '([^'\n]{1,200})/.exec(outcome.stderr)?.[1];
    const unreadable = folder === undefined ? undefined : `the folder ${folder} cannot be read`;
    if (status.nested.length === 0 || depth > NESTING_LIMIT) return { status, unreadable };
    for (const nested of status.nested) await moveAside(collection.request.worktreePath, nested);
  }
}
