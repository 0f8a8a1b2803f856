/**
 * Updates rows, records and git's entries after a home was moved to another folder. Before a worker has updated them,
 * rows, records and entries still have the former paths of the worktrees.
 */
import { realpath } from 'node:fs/promises';
import path from 'node:path';
import { forgetFormerPaths, formerPaths } from '../services/home/identity.ts';
import { movePaths } from '../store/moved-home.ts';
import type { Sql } from '../store/sql.ts';
import { LonghaulError } from '../contract/errors.ts';
import { moveWorktrees } from '../worktrees/moved-home.ts';
import { withLock } from '../worktrees/repository-lock.ts';

/**
 * Updates the paths and returns the former paths of the home. A worker calls this function before its first step. If
 * the worker crashes, the next worker completes the update.
 */
export async function followMovedHome(home: string, sql: Sql): Promise<string[]> {
  if ((await formerPaths(home)).length === 0) return [];
  const locksDir = path.join(home, 'locks');
  return withLock({ locksDir, subject: 'moved home' }, async () => {
    const former = await formerPaths(home); // another worker may have updated the paths meanwhile
    const to = await realpath(home);
    for (const from of former) {
      await moveWorktrees({ locksDir, from, to });
      await movePaths(sql, { from, to });
    }
    await forgetFormerPaths(home);
    return former;
  });
}

/**
 * Throws `invalid_input` while rows and records have a former path. With such paths `gc` would treat the worktrees as
 * lost, or as those of another home.
 */
export async function refuseMovedHome(home: string): Promise<void> {
  const [former] = await formerPaths(home);
  if (former === undefined) return;
  throw new LonghaulError(
    'invalid_input',
    `${home} was started at ${former} before, and its records name the worktrees by that path. Run \`longhaul up -d\` first, and try again.`,
  );
}
