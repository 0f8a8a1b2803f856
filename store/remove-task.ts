/** Removes from the database a task that has ended, with everything that belongs only to this task. */
import type { SessionId, TaskId } from '../contract/ids.ts';
import { FINAL_STATES } from '../contract/task.ts';
import type { Tx } from './sql.ts';

export type TaskRemoval =
  | { readonly kind: 'missing' }
  /**
   * The task has not ended (`task_open`), or another task of its session is claimed and has not ended
   * (`session_at_work`). In the second case the removal would raise `compacted_seq` while that other task appends
   * frames.
   */
  | {
      readonly kind: 'refused';
      /** `change_decided` means that an action on the task's change has not ended. */
      readonly why: 'task_open' | 'session_at_work' | 'change_decided';
      readonly state: string;
    }
  | {
      readonly kind: 'removed';
      readonly session: 'none' | 'kept' | 'removed';
      /** The commit of the task's result, if it has one. */
      readonly resultCommit: string | null;
      readonly projectPath: string | null;
    };

/**
 * Removes the task's row with its messages, frames, change, attempts and permissions. Also removes the session if
 * neither a task nor a message remains in it. Otherwise the same transaction raises `compacted_seq`, so a follower
 * whose position is below the removed frames gets a snapshot, as after compaction.
 */
export async function removeTaskRow(tx: Tx, taskId: TaskId): Promise<TaskRemoval> {
  const [place] = await tx<{ session_id: SessionId | null; state: string }[]>`
    SELECT session_id, state FROM tasks WHERE id = ${taskId}`;
  if (!place) return { kind: 'missing' };
  const { session_id: sessionId } = place;
  // All other code locks an open task before its session. This task is final, and a final state does not change, so its
  // session may be locked first.
  if (!isFinalState(place.state)) return { kind: 'refused', why: 'task_open', state: place.state };
  // A frame writer, or a claim of another task of the session, also locks the session's row. So they wait for this
  // transaction, or it waits for them.
  if (sessionId) await tx`SELECT FROM sessions WHERE id = ${sessionId} FOR UPDATE`;
  const [task] = await tx<{ path: string | null }[]>`
    SELECT (SELECT p.path FROM projects p WHERE p.id = t.project_id) AS path FROM tasks t WHERE t.id = ${taskId} FOR UPDATE`;
  if (!task) return { kind: 'missing' };
  const [busy] = await tx<{ state: string }[]>`
    SELECT state FROM tasks WHERE session_id = ${sessionId} AND claimed_at IS NOT NULL AND ended_at IS NULL LIMIT 1`;
  if (busy) return { kind: 'refused', why: 'session_at_work', state: busy.state };
  const [acting] = await tx<{ state: string }[]>`
    SELECT a.state FROM change_actions a JOIN pending_changes c ON c.id = a.change_id
     WHERE c.task_id = ${taskId} AND a.ended_at IS NULL LIMIT 1`;
  if (acting) return { kind: 'refused', why: 'change_decided', state: acting.state };
  await tx`
    DELETE FROM change_actions WHERE change_id IN (SELECT id FROM pending_changes WHERE task_id = ${taskId})`;
  const changes = await tx<{ result_commit: string | null }[]>`
    DELETE FROM pending_changes WHERE task_id = ${taskId} RETURNING result_commit`;
  await tx`DELETE FROM messages WHERE task_id = ${taskId}`;
  await tx`DELETE FROM idempotency_keys WHERE task_id = ${taskId}`;
  await tx`DELETE FROM tasks WHERE id = ${taskId}`;
  const session = sessionId ? await removeFromSession(tx, sessionId, taskId) : 'none';
  return { kind: 'removed', session, resultCommit: changes[0]?.result_commit ?? null, projectPath: task.path };
}

const isFinalState = (state: string): boolean => FINAL_STATES.some((one) => one === state);

async function removeFromSession(tx: Tx, sessionId: SessionId, taskId: TaskId): Promise<'kept' | 'removed'> {
  const [others] = await tx`
    SELECT FROM tasks WHERE session_id = ${sessionId} UNION ALL SELECT FROM messages WHERE session_id = ${sessionId} LIMIT 1`;
  if (others) {
    await tx`
      WITH gone AS (DELETE FROM frames WHERE session_id = ${sessionId} AND task_id = ${taskId} RETURNING seq)
      UPDATE sessions SET compacted_seq = greatest(compacted_seq, (SELECT max(seq) FROM gone)) WHERE id = ${sessionId}`;
    return 'kept';
  }
  await tx`DELETE FROM frames WHERE session_id = ${sessionId}`;
  await tx`DELETE FROM pending_changes WHERE session_id = ${sessionId}`;
  await tx`DELETE FROM chats WHERE session_id = ${sessionId}`;
  await tx`DELETE FROM sessions WHERE id = ${sessionId}`;
  return 'removed';
}
