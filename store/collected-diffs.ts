/** Stores the result of the step `diffWorktree` until the step `queueChange` makes this result the task's change. */
import type { ChangeId, SessionId, TaskId } from '../contract/ids.ts';
import { appendKeyed } from './append-frames.ts';
import { idOf } from './ids.ts';
import type { Db, Tx } from './sql.ts';
import { wellFormedText } from './well-formed.ts';

export interface Diff {
  readonly commit: string;
  readonly diff: string;
  readonly patch: Buffer;
  readonly files: readonly unknown[];
  readonly additions: number;
  readonly deletions: number;
  readonly ignored: readonly string[];
}

export async function storeDiff(db: Db, taskId: TaskId, base: string, found: Diff): Promise<void> {
  await db`
    INSERT INTO collected_diffs (task_id, base_commit, result_commit, diff, patch, files, additions, deletions, ignored_files)
    VALUES (${taskId}, ${base}, ${found.commit}, ${wellFormedText(found.diff)}, ${found.patch}, ${db.json(found.files as never)},
            ${found.additions}, ${found.deletions}, ${db.json([...found.ignored])})
    ON CONFLICT (task_id) DO UPDATE
      SET base_commit = EXCLUDED.base_commit, result_commit = EXCLUDED.result_commit, diff = EXCLUDED.diff,
          patch = EXCLUDED.patch, files = EXCLUDED.files, additions = EXCLUDED.additions,
          deletions = EXCLUDED.deletions, ignored_files = EXCLUDED.ignored_files`;
}

/** Returns whether the task's diff is stored: as its change, or in `collected_diffs` for the step `queueChange`. */
export async function hasDiff(db: Db, taskId: TaskId): Promise<boolean> {
  const rows = await db`
    SELECT FROM pending_changes WHERE task_id = ${taskId}
     UNION ALL SELECT FROM collected_diffs WHERE task_id = ${taskId}`;
  return rows.length > 0;
}

interface QueuedRow {
  readonly files: number;
  readonly additions: number;
  readonly deletions: number;
  readonly partial: boolean;
}

export type QueuedDiff =
  | { readonly kind: 'queued'; readonly changeId: ChangeId }
  /** The task's row was deleted. */
  | { readonly kind: 'superseded'; readonly state: undefined }
  | { readonly kind: 'no_diff' };

/**
 * Makes the collected diff the task's change, and appends a frame that reports it. A second call returns the same
 * change.
 */
export async function queueCollected(
  tx: Tx,
  { taskId, partial }: { taskId: TaskId; partial: boolean },
): Promise<QueuedDiff> {
  const [task] = await tx<{ session_id: SessionId; path: string | null }[]>`
    SELECT t.session_id, p.path FROM tasks t LEFT JOIN projects p ON p.id = t.project_id
     WHERE t.id = ${taskId} FOR UPDATE OF t`;
  if (!task) return { kind: 'superseded', state: undefined };
  const id = idOf(taskId, 'change');
  await tx`
    INSERT INTO pending_changes (id, session_id, task_id, file_path, operation, diff, patch, partial, base_commit,
                                 result_commit, files, additions, deletions, ignored_files)
    SELECT ${id}, ${task.session_id}, task_id, ${task.path}, 'edit', diff, patch, ${partial},
           base_commit, result_commit, files, additions, deletions, ignored_files
      FROM collected_diffs WHERE task_id = ${taskId}
    ON CONFLICT (id) DO NOTHING`;
  await tx`DELETE FROM collected_diffs WHERE task_id = ${taskId}`;
  const [row] = await tx<QueuedRow[]>`
    SELECT jsonb_array_length(files) AS files, additions, deletions, partial FROM pending_changes WHERE id = ${id}`;
  if (!row) return { kind: 'no_diff' };
  await appendKeyed(tx, task.session_id, [
    { key: `${taskId}:change`, taskId, body: { type: 'change_queued', change_id: id, ...row } },
  ]);
  return { kind: 'queued', changeId: id };
}
