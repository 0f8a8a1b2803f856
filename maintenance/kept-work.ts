/** A task whose work could not be stored as a change: `longhaul diff` says where the work is, instead of "no change". */
import type { Longhaul } from '../client/connection.ts';
import { describe } from '../client/tasks.ts';
import { shortId, type TaskId } from '../contract/ids.ts';
import { tryGit } from '../worktrees/git.ts';
import { commonDirOf } from '../worktrees/repository.ts';
import { taskRef } from '../worktrees/worktrees.ts';

/** Why there is nothing to print, and what to do. `undefined`: the task's worktree was not kept. */
export async function keptRefusal(longhaul: Longhaul, taskId: TaskId): Promise<string | undefined> {
  const task = await describe(longhaul, taskId);
  const { kept_worktree: worktree, project_path: project } = task;
  if (worktree === null) return undefined;
  const id = shortId(taskId);
  const sentences = [`The work of task ${id} is not in a change: its worktree was kept at ${worktree}.`];
  if (project !== null && (await hasCommit(project, taskRef(taskId)))) {
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

async function hasCommit(project: string, ref: string): Promise<boolean> {
  try {
    const cwd = commonDirOf(project);
    if (cwd === undefined) return false;
    return (await tryGit(['rev-parse', '--verify', '--quiet', `${ref}^{commit}`], { cwd })).exitCode === 0;
  } catch {
    return false; // The project cannot be read now: the sentence names the worktree only.
  }
}
