/** Finds tasks that hibernate: their newest attempt was ended because its agent only waited for a user's answer. */
import type { TaskId } from '../contract/ids.ts';
import type { Db } from './sql.ts';

export interface HibernationToEnd {
  readonly taskId: TaskId;
  readonly attempt: number;
  readonly runId: string;
}

/**
 * Returns the hibernating tasks that need an agent again. A task needs one if a request has an answer that no agent has
 * received, if the timeout of a request has passed, or if no request waits any more because another program deleted or
 * changed its row. In the last case the agent asks again. A task that was woken is not returned: it is `queued`, and
 * then has a newer attempt.
 */
export async function hibernationsToEnd(db: Db): Promise<HibernationToEnd[]> {
  return [
    ...(await db<HibernationToEnd[]>`
      SELECT t.id AS "taskId", a.attempt, coalesce(t.run_id, '') AS "runId"
        FROM tasks t
        CROSS JOIN LATERAL (SELECT attempt, outcome FROM attempts WHERE task_id = t.id ORDER BY attempt DESC LIMIT 1) a
       WHERE t.state = 'running' AND t.phase <> 'queued' AND a.outcome ->> 'kind' = 'hibernated'
         AND (EXISTS (SELECT FROM permissions p
                       WHERE p.task_id = t.id AND p.state IN ('answered', 'expired') AND p.delivered_at IS NULL)
              OR EXISTS (SELECT FROM permissions p
                          WHERE p.task_id = t.id AND p.state = 'pending' AND p.expires_at <= clock_timestamp())
              OR NOT EXISTS (SELECT FROM permissions p WHERE p.task_id = t.id AND p.state = 'pending'))`),
  ];
}
