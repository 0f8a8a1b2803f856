/**
 * Finds results of tasks without a row. Such a result may be the only copy of a task's work, or may belong to another
 * home that uses the same repository. So `gc` removes results only with `--refs`.
 */
import type { Sql } from '../../store/sql.ts';
import { findTasks } from '../../store/left-tasks.ts';
import { listResultRefs } from '../../worktrees/leftovers.ts';
import { makeWorktrees } from '../../worktrees/worktrees.ts';
import { DAY_MS, type GcOptions, type Leftover, REMOVED } from './leftover.ts';
import { taskLabel } from './task-states.ts';
import type { WorktreePaths } from './worktrees.ts';

export async function findLeftoverRefs(
  places: WorktreePaths,
  { sql, repositories }: { sql: Sql; repositories: readonly string[] },
  { refsOlderThanDays: days }: GcOptions,
): Promise<Leftover[]> {
  const worktrees = makeWorktrees(places);
  const left: Leftover[] = [];
  for (const commonDir of repositories) {
    const refs = await listResultRefs(commonDir);
    const known = new Set<string>(
      (
        await findTasks(
          sql,
          refs.map(({ taskId }) => taskId),
        )
      ).map(({ id }) => id),
    );
    for (const { ref, taskId, ageMs } of refs.filter((one) => !known.has(one.taskId))) {
      const age = Math.floor(ageMs / DAY_MS);
      const goes = days !== undefined && ageMs >= days * DAY_MS;
      const advice = days === undefined ? '--refs removes those older than 30 days' : `younger than ${days} days`;
      left.push({
        kind: 'ref',
        name: `${ref} in ${commonDir}`,
        reason: `${taskLabel(taskId)}, which has no row; ${age} ${age === 1 ? 'day' : 'days'} old`,
        ...(goes ? {} : { kept: `it may be the only copy of work, or belong to another home (${advice})` }),
        remove: async () => {
          await worktrees.deleteRef({ projectPath: commonDir, ref });
          return REMOVED;
        },
      });
    }
  }
  return left;
}
