/**
 * Functions that only worktrees of earlier versions need. The entry of such a worktree is in the project itself, and
 * the worktree has a `.git` file that leads to this entry. The worktrees of open tasks and kept worktrees keep this
 * form until they are removed: their files are collected into the project, and each is removed together with its entry.
 * A turn that starts over gets a worktree of the present form. Once no home has such worktrees and results, this file
 * can be removed, and with it the project in the results of `ownerOfWorktree` and `repositoriesWithResults`.
 */
import { lstatSync, renameSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { plainFile } from './plain-file.ts';
import { adminDirOf, orAbsentSync, ownCommonDirOf } from './repository.ts';

/** Writes the worktree's `.git` file again if the agent has removed it. */
export function restoreFormerLink(worktreePath: string, adminDir: string): void {
  const dotGit = path.join(worktreePath, '.git');
  if (orAbsentSync(() => lstatSync(dotGit)) === undefined) writeFileSync(dotGit, `gitdir: ${adminDir}\n`);
}

/** Returns the git common directory to which a worktree's `.git` file leads; undefined if there is no such file. */
export function formerOwner(worktreePath: string): string | undefined {
  const adminDir = adminDirOf(worktreePath);
  if (adminDir === undefined || adminDir === path.join(worktreePath, '.git')) return undefined;
  return ownCommonDirOf(worktreePath);
}

/** Returns a sentence about the branch on which the agent left the worktree. The branch is one of the project. */
export function notesOnFormerBranch(adminDir: string): string[] {
  const head = plainFile(path.join(adminDir, 'HEAD'))?.toString('utf8').trim() ?? '';
  if (!head.startsWith('ref: refs/heads/')) return [];
  return [
    `The agent left its worktree on branch ${head.slice('ref: refs/heads/'.length)}, which stays in the repository.`,
  ];
}

/**
 * Makes the path in the `.git` file of a moved worktree absolute. Git 2.48 and later can write relative paths there,
 * and the move makes a relative path wrong.
 */
export function makeFormerLinkAbsolute({
  worktreePath,
  former,
  adminDir,
}: Record<'worktreePath' | 'former' | 'adminDir', string>): void {
  const dotGit = path.join(worktreePath, '.git');
  if (orAbsentSync(() => lstatSync(dotGit))?.isFile() !== true) return;
  const target = /^gitdir: (.+?)\n*$/s.exec(plainFile(dotGit)?.toString('utf8') ?? '')?.[1];
  if (target === undefined || path.isAbsolute(target) || path.resolve(former, target) !== adminDir) return;
  replaceFile(dotGit, `gitdir: ${adminDir}\n`);
}

/**
 * Replaces the file by a rename. The draft has the name of git's own lock file, so a draft that a crash leaves is
 * removed together with git's lock files.
 */
export function replaceFile(file: string, content: string): void {
  const draft = `${file}.lock`;
  writeFileSync(draft, content);
  renameSync(draft, file);
}
