/** After a restore: the next attempt of each open task starts its turn over, in a worktree of its own. */
import type { Sql } from './sql.ts';

export async function forgetOpenTurns(sql: Sql): Promise<void> {
  await sql`
    UPDATE attempts SET agent_session_id = NULL, outcome = NULL
     WHERE task_id IN (SELECT id FROM tasks WHERE state IN ('pending', 'running'))`;
}
