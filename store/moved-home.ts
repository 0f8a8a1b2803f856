/** Rewrites the worktree paths that are stored in `tasks` after the Longhaul home was moved to another folder. */
import type { Sql } from './sql.ts';

/**
 * Replaces the folder `from` by `to` in all rows. It includes tasks that have ended, because a kept worktree is found
 * by its row. A second call changes nothing.
 */
export async function movePaths(sql: Sql, { from, to }: { readonly from: string; readonly to: string }): Promise<void> {
  const [former, now] = [`${from}/`, `${to}/`];
  for (const column of ['worktree_path', 'kept_worktree']) {
    await sql`
      UPDATE tasks SET ${sql(column)} = ${now} || substr(${sql(column)}, length(${former}) + 1)
       WHERE starts_with(${sql(column)}, ${former})`;
  }
}
