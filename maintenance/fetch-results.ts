/**
 * Fetches the results of a task from the mirror into the project. `longhaul fetch`, which calls it, is the only command
 * of Longhaul that writes refs into the user's repository.
 */
import { git, gitText } from '../worktrees/git.ts';
import { linkLargeFiles } from '../worktrees/mirror-objects.ts';
import { commonDirOf, inspect } from '../worktrees/repository.ts';
import { findResult, locksOf, repositoriesWithResults, taskRef } from '../worktrees/worktrees.ts';
import type { TaskId } from '../contract/ids.ts';

export interface FetchedRef {
  readonly ref: string;
  readonly commit: string;
}

/**
 * Fetches the result of the task and the branches that its agent created. Returns the refs. Results that an earlier
 * version stored in the project need not be fetched, so their refs are only returned. Returns an empty list if the task
 * has no result.
 */
export async function fetchResults(home: string, projectPath: string, taskId: TaskId): Promise<FetchedRef[]> {
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
    if (repository !== commonDir) {
      await git([...args, '--', repository, ...wanted], { cwd: topLevel });
      // For the result, git-lfs stored the large files beside the mirror's objects. The project gets links to them.
      await linkLargeFiles({ from: repository, to: commonDir, replace: false });
    }
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

/**
 * Returns the repository that has the task's result: the mirror, or the project for results of earlier versions.
 * Returns null if the task has no project.
 */
export async function repositoryOfResult(
  home: string,
  projectPath: string | null,
  taskId: TaskId,
): Promise<string | null> {
  if (projectPath === null) return null;
  // If the project cannot be read now, its own path is returned.
  const found = await findResult(locksOf(home), { projectPath, ref: taskRef(taskId) }).catch(() => undefined);
  return found === undefined || found.repository === commonDirOf(projectPath) ? projectPath : found.repository;
}
