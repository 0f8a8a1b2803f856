/** Finds the paths of a change that `git apply` would refuse, by reading the project's repository. */
import type { Longhaul } from '../client/connection.ts';
import { describe } from '../client/tasks.ts';
import type { TaskId } from '../contract/ids.ts';
import { commonDirOf } from '../worktrees/repository.ts';
import { locksOf, repositoryWith } from '../worktrees/worktrees.ts';
import type { ChangedFile } from '../worktrees/tree-diff.ts';
import { unfollowableLinks } from '../worktrees/unfollowable-links.ts';

interface Change {
  readonly base_commit: string | null;
  readonly files: readonly unknown[];
}

/**
 * Returns the symbolic links that the change replaces with folders and that git cannot follow. Returns an empty list if
 * the repository does not exist.
 */
export async function unfollowableIn(
  longhaul: Longhaul,
  home: string,
  taskId: TaskId,
  change: Change,
): Promise<string[]> {
  const { project_path: project } = await describe(longhaul, taskId);
  if (change.base_commit === null || project === null || commonDirOf(project) === undefined) return [];
  const cwd = (await repositoryWith(locksOf(home), project, change.base_commit)) ?? project;
  return unfollowableLinks(change.base_commit, change.files as readonly ChangedFile[], { cwd });
}
