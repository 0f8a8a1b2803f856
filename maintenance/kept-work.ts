/**
 * Makes the message about a task whose work could not be stored as a change. `longhaul diff` prints it, with the path
 * of the kept worktree, instead of "no change".
 */
import type { Longhaul } from '../client/connection.ts';
import { describe } from '../client/tasks.ts';
import { shortId, type TaskId } from '../contract/ids.ts';
import { findResult, locksOf, taskRef } from '../worktrees/worktrees.ts';

/** Returns why there is no change to print, and what to do. Returns `undefined` if the task has no kept worktree. */
export async function keptWorktreeMessage(
  longhaul: Longhaul,
  home: string,
  taskId: TaskId,
): Promise<string | undefined> {
  const task = await describe(longhaul, taskId);
  const { kept_worktree: worktree, project_path: project } = task;
  if (worktree === null) return undefined;
  const id = shortId(taskId);
  const sentences = [`The work of task ${id} is not in a change: its worktree was kept at ${worktree}.`];
  if (project !== null && (await isStored(home, project, taskRef(taskId)))) {
    sentences.push(
      `What could be stored is a commit: longhaul fetch ${id} brings it into ${project} as ${taskRef(taskId)}. Take it from there`,
      `with git cherry-pick --no-commit ${taskRef(taskId)}, and compare it with the worktree.`,
    );
  } else {
    sentences.push('Copy what you need from there.');
  }
  sentences.push(`longhaul show ${id} says why it was kept.`);
  return sentences.join(' ');
}

/**
 * Returns whether a part of the work is stored as a commit. Returns false if the project cannot be read now; the
 * message then names only the worktree.
 */
async function isStored(home: string, project: string, ref: string): Promise<boolean> {
  return findResult(locksOf(home), { projectPath: project, ref }).then(
    (found) => found !== undefined,
    () => false,
  );
}
