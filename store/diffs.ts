/** Reads a change as text to read, and as the patch to apply. */
import type { ChangeId, SessionId, TaskId } from '../contract/ids.ts';
import { DIFF_CUT_LINE } from '../contract/vocabulary.ts';
import type { Db } from './sql.ts';

export interface DiffView {
  readonly change_id: ChangeId;
  readonly state: string;
  readonly partial: boolean;
  /**
   * The diff as text to read: it is cut at 1 MB, names binary files without their content, and has a replacement for
   * bytes that are not UTF-8. The patch is complete.
   */
  readonly diff: string;
  readonly diff_truncated: boolean;
  readonly files: readonly unknown[];
  readonly additions: number | null;
  readonly deletions: number | null;
  readonly base_commit: string | null;
  readonly result_commit: string | null;
}

/** SQL: whether the column `diff` was cut. */
export const diffTruncated = (db: Db) =>
  db`coalesce(right(rtrim(diff, E'\n'), ${DIFF_CUT_LINE.length}) = ${DIFF_CUT_LINE}, false) AS diff_truncated`;
export const filesList = (db: Db) => db`CASE jsonb_typeof(files) WHEN 'array' THEN files ELSE '[]' END AS files`;

const columns = (db: Db) => db`
  id AS change_id, state, partial, ${diffTruncated(db)}, ${filesList(db)}, additions, deletions, base_commit, result_commit`;

/** Returns the newest change of the task. */
export async function findDiff(db: Db, taskId: TaskId): Promise<DiffView | undefined> {
  const [row] = await db<DiffView[]>`
    SELECT ${columns(db)}, coalesce(diff, '') AS diff
      FROM pending_changes WHERE task_id = ${taskId} ORDER BY created_at DESC, id LIMIT 1`;
  return row;
}

/** Returns the patch of a change. Null if a program other than Longhaul inserted the change without one, or if there is no such change. */
export async function findPatch(db: Db, change: ChangeId): Promise<Buffer | null> {
  const [row] = await db<{ patch: Buffer | null }[]>`SELECT patch FROM pending_changes WHERE id = ${change}`;
  return row?.patch ?? null;
}

/**
 * SQL: the id of the task of the same session whose result commit is the base of the change `c` (an alias in the
 * statement). That task's change must be applied before the change `c`.
 */
export const buildsOn = (db: Db, c: string) => db`
  (SELECT b.task_id FROM pending_changes b
    WHERE b.session_id = ${db(c)}.session_id AND b.task_id <> ${db(c)}.task_id AND b.result_commit = ${db(c)}.base_commit
    ORDER BY b.created_at DESC, b.id LIMIT 1)`;

/** Returns the other task of the same session whose result is the commit that this task started from. */
export async function taskBefore(db: Db, taskId: TaskId, base: string): Promise<TaskId | undefined> {
  const [row] = await db<{ task_id: TaskId }[]>`
    SELECT c.task_id FROM tasks t JOIN pending_changes c ON c.session_id = t.session_id
     WHERE t.id = ${taskId} AND c.task_id <> t.id AND c.result_commit = ${base}
     ORDER BY c.created_at DESC, c.id LIMIT 1`;
  return row?.task_id;
}

/** Returns whether the commit is the result of a change of any session. */
export async function isResult(db: Db, commit: string): Promise<boolean> {
  const rows = await db`SELECT FROM pending_changes WHERE result_commit = ${commit} LIMIT 1`;
  return rows.length > 0;
}

export interface SessionChange {
  readonly task_id: TaskId | null;
  readonly partial: boolean;
  readonly base_commit: string;
  readonly result_commit: string;
}

/** Returns the session's changes that have commits, the oldest first. */
export async function sessionChanges(db: Db, sessionId: SessionId): Promise<SessionChange[]> {
  return [
    ...(await db<SessionChange[]>`
      SELECT task_id, partial, base_commit, result_commit FROM pending_changes
       WHERE session_id = ${sessionId} AND base_commit IS NOT NULL AND result_commit IS NOT NULL
       ORDER BY created_at, id`),
  ];
}
