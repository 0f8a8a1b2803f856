/**
 * What only worktrees of earlier versions need: entries of the project itself, to which a `.git` file leads. Open tasks and kept
 * worktrees of that form end in it (collected into the project, removed with their entry). A turn that starts over gets a
 * worktree of the present form. This file, and the project in `ownerOfWorktree` and `repositoriesWithResults`, can go
 * once no home has such worktrees and results any more.
 */
import { lstatSync, renameSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { plainFile } from './plain-file.ts';
import { adminDirOf, orAbsentSync, ownCommonDirOf } from './repository.ts';

/** Writes the `.git` file of a worktree whose agent has removed it. */
export function restoreFormerLink(worktreePath: string, adminDir: string): void {
  const dotGit = path.join(worktreePath, '.git');
  if (orAbsentSync(() => lstatSync(dotGit)) === undefined) writeFileSync(dotGit, `gitdir: ${adminDir}\n`);
}

/** Returns the git common directory to which a worktree's `.git` file leads; undefined if it has none. */
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
 * Makes the path in the `.git` file of a moved worktree absolute. Git 2.48 can be set to write relative paths, which are
 * wrong after the move.
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

/** The draft has git's own name for it: one that a crash leaves is removed with git's lock files. */
export function replaceFile(file: string, content: string): void {
  const draft = `${file}.lock`;
  writeFileSync(draft, content);
  renameSync(draft, file);
}
