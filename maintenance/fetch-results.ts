/** Results of a task, brought from the mirror into the project. The one command of ours that writes a ref of the user's repository. */
import { git, gitText } from '../worktrees/git.ts';
import { commonDirOf, inspect } from '../worktrees/repository.ts';
import { findResult, locksOf, repositoriesWithResults, taskRef } from '../worktrees/worktrees.ts';
import type { TaskId } from '../contract/ids.ts';

export interface FetchedRef {
  readonly ref: string;
  readonly commit: string;
}

/** Of the task and of its agent's branches. What an earlier version has stored in the project is there already. Empty: no result. */
export async function bringResults(home: string, projectPath: string, taskId: TaskId): Promise<FetchedRef[]> {
  const { topLevel, commonDir } = await inspect(projectPath);
  for (const repository of await repositoriesWithResults(locksOf(home), topLevel)) {
    const refs = await resultsIn(repository, taskId);
    if (refs.length === 0) continue;
    const wanted = refs.map(({ ref }) => `+${ref}:${ref}`);
    const args = [
      'fetch',
      '--quiet',
      '--no-tags',
      '--no-recurse-submodules',
      '--no-write-fetch-head',
      '--no-auto-maintenance',
      '--update-shallow',
    ];
    if (repository !== commonDir) await git([...args, '--', repository, ...wanted], { cwd: topLevel });
    return refs;
  }
  return [];
}

async function resultsIn(cwd: string, taskId: TaskId): Promise<FetchedRef[]> {
  const patterns = ['tasks', 'branches', 'left'].map((kind) => `refs/longhaul/${kind}/${taskId}`);
  const text = await gitText(['for-each-ref', '--format=%(objectname) %(refname)', ...patterns], { cwd });
  return text
    .split('\n')
    .filter(Boolean)
    .map((line) => {
      const [commit = '', ref = ''] = line.split(' ');
      return { ref, commit };
    });
}

/** The repository that has the task's result: the mirror, or the project for results of earlier versions. */
export async function placeOfResult(home: string, projectPath: string | null, taskId: TaskId): Promise<string | null> {
  if (projectPath === null) return null;
  // Of a project that cannot be read now its own path says enough.
  const found = await findResult(locksOf(home), { projectPath, ref: taskRef(taskId) }).catch(() => undefined);
  return found === undefined || found.repository === commonDirOf(projectPath) ? projectPath : found.repository;
}
