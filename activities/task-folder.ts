/**
 * The folder in which a task's agent starts: the task's worktree, or an empty scratch folder of its session if the
 * project has no path and the agent only answers. All tasks of a session have the same scratch folder, because an agent
 * session belongs to the path of its folder.
 */
import { mkdirSync, rmdirSync } from 'node:fs';
import path from 'node:path';
import { isErrno } from '../contract/errors.ts';
import type { SessionId } from '../contract/ids.ts';
import type { TurnTask } from '../store/turn-task.ts';

export type TaskFolder =
  | { readonly kind: 'worktree'; readonly path: string; readonly base: string }
  | { readonly kind: 'scratch'; readonly path: string };

export interface FolderContext {
  readonly worktreesDir: string;
  readonly sessionId: SessionId;
}

/** Returns the folder of the task. Creates the scratch folder if the task needs one and it does not exist. */
export function folderOf({ worktree_path: worktree, base_commit: base }: TurnTask, of: FolderContext): TaskFolder {
  if (worktree !== null && base !== null) return { kind: 'worktree', path: worktree, base };
  const scratch = scratchOf(of);
  mkdirSync(scratch, { recursive: true, mode: 0o700 });
  return { kind: 'scratch', path: scratch };
}

const scratchOf = ({ worktreesDir, sessionId }: FolderContext): string =>
  path.join(path.dirname(worktreesDir), 'scratch', sessionId);

/** Removes the scratch folder if it is empty, which is the normal case. */
export function removeScratch(of: FolderContext): void {
  try {
    rmdirSync(scratchOf(of));
  } catch (error) {
    if (!isErrno(error, 'ENOENT', 'ENOTEMPTY')) throw error;
  }
}
