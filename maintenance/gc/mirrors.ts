/**
 * Finds mirrors of projects that no longer exist. Must never happen: a mirror is removed while a worktree borrows from
 * it, while it has a result (gc/refs.ts lists those), or while a row names its project, because the project's disk may
 * only be unplugged.
 */
import { lstat } from 'node:fs/promises';
import { removeTree } from '../../worktrees/clear.ts';
import { gitText } from '../../worktrees/git.ts';
import { listMirrors, readState } from '../../worktrees/mirror.ts';
import { listEntries, orAbsent } from '../../worktrees/repository.ts';
import { withLock } from '../../worktrees/repository-lock.ts';
import { type Leftover, REMOVED } from './leftover.ts';
import type { WorktreePaths } from './worktrees.ts';

export async function leftMirrors({ locksDir }: WorktreePaths, projects: readonly string[]): Promise<Leftover[]> {
  const left: Leftover[] = [];
  for (const mirror of listMirrors(locksDir)) {
    const project = await missingProjectOf(mirror, projects);
    if (project === undefined) continue;
    left.push({
      kind: 'mirror',
      name: mirror,
      reason: `its project ${project} no longer exists, and no result is in it`,
      remove: () =>
        withLock({ locksDir, subject: mirror }, async () => {
          if ((await missingProjectOf(mirror, projects)) === undefined)
            return { kind: 'kept', why: 'a task has begun to use it' };
          await removeTree(mirror);
          return REMOVED;
        }),
    });
  }
  return left;
}

/**
 * Returns the project's git common directory if it no longer exists and the mirror can be removed. Returns undefined if
 * the mirror is needed, or if its state file does not name its project.
 */
async function missingProjectOf(mirror: string, projects: readonly string[]): Promise<string | undefined> {
  const project = readState(mirror)?.commonDir;
  if (project === undefined || (await orAbsent(lstat(project))) !== undefined) return undefined;
  if (projects.some((folder) => `${project}/`.startsWith(`${folder}/`))) return undefined;
  if (listEntries(mirror).length > 0) return undefined;
  const results = await gitText(['for-each-ref', '--count=1', 'refs/longhaul/'], { cwd: mirror });
  return results === '' ? project : undefined;
}
