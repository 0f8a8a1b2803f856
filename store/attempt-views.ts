/** Attempts as they are shown. */
import type { TaskId } from '../contract/ids.ts';
import type { ErrorCode } from '../contract/errors.ts';
import type { Db } from './sql.ts';

export interface AttemptView {
  readonly number: number;
  readonly worker_pid: number;
  readonly spawned_at: Date | null;
  readonly ended_at: Date | null;
  readonly error_code: ErrorCode | null;
  /** Kind of its result; null: it has none. */
  readonly outcome: string | null;
  /** The next attempt took over its agent while that ran. */
  readonly adopted: boolean;
}

/** Oldest first. */
export async function attemptViews(db: Db, taskId: TaskId): Promise<AttemptView[]> {
  return [
    ...(await db<AttemptView[]>`
      SELECT attempt AS number, worker_pid, spawned_at, ended_at, error_code, outcome ->> 'kind' AS outcome,
             coalesce((pid, pid_start) = (lead(pid) OVER next, lead(pid_start) OVER next), false) AS adopted
        FROM attempts WHERE task_id = ${taskId} WINDOW next AS (ORDER BY attempt) ORDER BY attempt`),
  ];
}
