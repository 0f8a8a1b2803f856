/** Finds tasks that hibernate: their newest attempt was ended because its agent only waited for a user's answer. */
import type { TaskId } from '../contract/ids.ts';
import type { Db } from './sql.ts';

export interface AnsweredHibernation {
  readonly taskId: TaskId;
  readonly attempt: number;
  readonly runId: string;
}

/**
 * Returns the hibernating tasks that have an answer which no agent has received. A task that was woken is not returned:
 * it is `queued`, then has a newer attempt.
 */
export async function answeredHibernations(db: Db): Promise<AnsweredHibernation[]> {
  return [
    ...(await db<AnsweredHibernation[]>`
      SELECT t.id AS "taskId", a.attempt, coalesce(t.run_id, '') AS "runId"
        FROM (SELECT DISTINCT task_id FROM permissions
               WHERE state IN ('answered', 'expired') AND delivered_at IS NULL) p
        JOIN tasks t ON t.id = p.task_id AND t.state = 'running' AND t.phase <> 'queued'
        CROSS JOIN LATERAL (SELECT attempt, outcome FROM attempts WHERE task_id = t.id ORDER BY attempt DESC LIMIT 1) a
       WHERE a.outcome ->> 'kind' = 'hibernated'`),
  ];
}
