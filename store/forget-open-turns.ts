/**
 * Makes turns start over. The next attempt then works in a new worktree, because the files of the former worktree do
 * not exist in this home.
 */
import type { TaskId } from '../contract/ids.ts';
import type { Sql, Tx } from './sql.ts';

/**
 * Makes the turns of all open tasks start over, after a restore from a backup. Their worktree paths lie in the home
 * that was backed up. That home may still exist, with the same tasks running in those worktrees. `kept_worktree` of
 * ended tasks stays: it tells users where the work is, and no step uses it.
 */
export async function forgetOpenTurns(sql: Sql): Promise<void> {
  await sql.begin(async (tx) => {
    const open = await tx<{ id: TaskId }[]>`
      UPDATE tasks SET worktree_path = NULL WHERE state IN ('pending', 'running') RETURNING id`;
    await forgetAttempts(
      tx,
      open.map(({ id }) => id),
    );
  });
}

/**
 * Removes the agent sessions and outcomes of the tasks' attempts, because they belong to the files of the former
 * worktree.
 */
export async function forgetAttempts(tx: Tx, taskIds: readonly TaskId[]): Promise<void> {
  await tx`UPDATE attempts SET agent_session_id = NULL, outcome = NULL WHERE task_id = ANY(${[...taskIds]})`;
}

/**
 * Discards the outcome of a turn whose files were lost before they were collected. The agent session stays, because it
 * shows which files the agent knew.
 */
export async function forgetOutcome(sql: Sql, taskId: TaskId): Promise<void> {
  await sql`UPDATE attempts SET outcome = NULL WHERE task_id = ${taskId} AND outcome->>'kind' NOT IN ('waiting', 'hibernated')`;
}
