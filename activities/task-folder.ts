/**
 * The folder that a task's agent starts in: its worktree; for a task without a project's path, which only answers, an empty
 * folder of its session. An agent session belongs to its folder's path, so that of a session is always the same.
 */
import { mkdirSync, rmdirSync } from 'node:fs';
import path from 'node:path';
import { isErrno } from '../contract/errors.ts';
import type { SessionId } from '../contract/ids.ts';
import type { TurnTask } from '../store/turn-task.ts';

export type TaskFolder =
  | { readonly kind: 'worktree'; readonly path: string; readonly base: string }
  | { readonly kind: 'scratch'; readonly path: string };

export interface FolderOf {
  readonly worktreesDir: string;
  readonly sessionId: SessionId;
}

export function folderOf({ worktree_path: worktree, base_commit: base }: TurnTask, of: FolderOf): TaskFolder {
  if (worktree !== null && base !== null) return { kind: 'worktree', path: worktree, base };
  const scratch = scratchOf(of);
  mkdirSync(scratch, { recursive: true, mode: 0o700 });
  return { kind: 'scratch', path: scratch };
}

const scratchOf = ({ worktreesDir, sessionId }: FolderOf): string =>
  path.join(path.dirname(worktreesDir), 'scratch', sessionId);

/** Only an empty one: nothing is expected in it. */
export function removeScratch(of: FolderOf): void {
  try {
    rmdirSync(scratchOf(of));
  } catch (error) {
    if (!isErrno(error, 'ENOENT', 'ENOTEMPTY')) throw error;
  }
}
