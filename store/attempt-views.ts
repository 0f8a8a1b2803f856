/** Reads attempts as the API and the CLI show them. */
import type { TaskId } from '../contract/ids.ts';
import type { ErrorCode } from '../contract/errors.ts';
import type { Db } from './sql.ts';

export interface AttemptView {
  readonly number: number;
  readonly worker_pid: number;
  readonly spawned_at: Date | null;
  readonly ended_at: Date | null;
  readonly error_code: ErrorCode | null;
  /** The kind of the attempt's outcome. Null if the attempt has none. */
  readonly outcome: string | null;
  /** True if the next attempt took over this attempt's agent while the agent ran. */
  readonly adopted: boolean;
}

/** Returns the task's attempts, the oldest first. */
export async function attemptViews(db: Db, taskId: TaskId): Promise<AttemptView[]> {
  return [
    ...(await db<AttemptView[]>`
      SELECT attempt AS number, worker_pid, spawned_at, ended_at, error_code, outcome ->> 'kind' AS outcome,
             coalesce((pid, pid_start) = (lead(pid) OVER next, lead(pid_start) OVER next), false) AS adopted
        FROM attempts WHERE task_id = ${taskId} WINDOW next AS (ORDER BY attempt) ORDER BY attempt`),
  ];
}
