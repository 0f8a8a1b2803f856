/** The result of the diff step, until it is queued as a change. */
import type { ChangeId, SessionId, TaskId } from '../contract/ids.ts';
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

export interface QueuedRow {
  readonly id: ChangeId;
  readonly files: number;
  readonly additions: number;
  readonly deletions: number;
  readonly partial: boolean;
}

/** Makes the collected diff the task's change. Run again it returns the same row; undefined: there is no diff. */
export async function queueCollected(
  tx: Tx,
  change: { taskId: TaskId; sessionId: SessionId; projectPath: string | null; partial: boolean },
): Promise<QueuedRow | undefined> {
  const id = idOf(change.taskId, 'change');
  await tx`
    INSERT INTO pending_changes (id, session_id, task_id, file_path, operation, diff, patch, partial, base_commit,
                                 result_commit, files, additions, deletions, ignored_files)
    SELECT ${id}, ${change.sessionId}, task_id, ${change.projectPath}, 'edit', diff, patch, ${change.partial},
           base_commit, result_commit, files, additions, deletions, ignored_files
      FROM collected_diffs WHERE task_id = ${change.taskId}
    ON CONFLICT (id) DO NOTHING`;
  await tx`DELETE FROM collected_diffs WHERE task_id = ${change.taskId}`;
  const [row] = await tx<QueuedRow[]>`
    SELECT id, jsonb_array_length(files) AS files, additions, deletions, partial FROM pending_changes WHERE id = ${id}`;
  return row;
}
