/** A task whose work could not be stored as a change: `longhaul diff` says where the work is, instead of "no change". */
import type { Longhaul } from '../client/connection.ts';
import { describe } from '../client/tasks.ts';
import { shortId, type TaskId } from '../contract/ids.ts';
import { resultCommit, taskRef } from '../worktrees/worktrees.ts';

/** Why there is nothing to print, and what to do. `undefined`: the task's worktree was not kept. */
export async function keptWorktreeMessage(longhaul: Longhaul, taskId: TaskId): Promise<string | undefined> {
  const task = await describe(longhaul, taskId);
  const { kept_worktree: worktree, project_path: project } = task;
  if (worktree === null) return undefined;
  const id = shortId(taskId);
  const sentences = [`The work of task ${id} is not in a change: its worktree was kept at ${worktree}.`];
  if (project !== null && (await isStored(project, taskRef(taskId)))) {
    sentences.push(
      `What could be stored is ${taskRef(taskId)} in ${project}: take it with git cherry-pick --no-commit ${taskRef(taskId)}`,
      `and compare it with the worktree.`,
    );
  } else {
    sentences.push('Copy what you need from there.');
  }
  sentences.push(`longhaul show ${id} says why it was kept.`);
  return sentences.join(' ');
}

/** False as well if the project cannot be read now: the sentence then names the worktree only. */
async function isStored(project: string, ref: string): Promise<boolean> {
  return resultCommit({ projectPath: project, ref }).then(
    (commit) => commit !== undefined,
    () => false,
  );
}
