/**
 * A turn starts over: its next attempt works in a new worktree, because the files of the former one do not exist in this
 * home.
 */
import type { TaskId } from '../contract/ids.ts';
import type { Sql, Tx } from './sql.ts';

/**
 * After a restore, for all open tasks. Their worktree paths lie in the home that was backed up, which may still exist
 * with the same tasks at work in them. `kept_worktree` of ended tasks stays: it says where the work is, and no step uses
 * it.
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

/** Their agent sessions and outcomes belong to the files of the former worktree. */
export async function forgetAttempts(tx: Tx, taskIds: readonly TaskId[]): Promise<void> {
  await tx`UPDATE attempts SET agent_session_id = NULL, outcome = NULL WHERE task_id = ANY(${[...taskIds]})`;
}

/**
 * The turn's files were lost before they were collected, so its outcome is discarded. Its agent session still shows which
 * files the agent knew.
 */
export async function forgetOutcome(sql: Sql, taskId: TaskId): Promise<void> {
  await sql`UPDATE attempts SET outcome = NULL WHERE task_id = ${taskId} AND outcome->>'kind' NOT IN ('waiting', 'hibernated')`;
}
