/** The workflow's relay: what phase the turn is in, for the row and for those who watch. */
import { Context } from '@temporalio/activity';
import { appendKeyed } from '../store/append-frames.ts';
import type { SessionId } from '../contract/ids.ts';
import type { PublishInput } from '../contract/steps.ts';
import type { StepDeps } from './step.ts';

export function makePublishProgress({ sql }: StepDeps) {
  return async function publishProgress(input: PublishInput): Promise<void> {
    const { taskId, phase, attempt, waitsUntil, ordinal } = input;
    const runId = Context.current().info.workflowExecution?.runId ?? '';
    await sql.begin(async (tx) => {
      // Late news (the step has ended meanwhile) changes nothing: phases of later steps stay.
      const [task] = await tx<{ session_id: SessionId }[]>`
        UPDATE tasks SET phase = ${phase}, waits_until = ${waitsUntil ?? null}
         WHERE id = ${taskId} AND state = 'running'
           AND phase IN ('starting', 'working', 'waiting_permission', 'waiting_limit')
        RETURNING session_id`;
      if (!task) return;
      await appendKeyed(tx, task.session_id, [
        {
          key: `${taskId}:${runId}:progress-${ordinal}`,
          taskId,
          body: {
            type: 'task_state',
            state: 'running',
            phase,
            attempt,
            ...(waitsUntil && { waits_until: waitsUntil }),
          },
        },
      ]);
    });
  };
}
