/** Step 5, queue change: one `pending_changes` row a task, for a person to apply or reject. */
import { appendKeyed } from '../store/append-frames.ts';
import { queueCollected } from '../store/collected-diffs.ts';
import type { SessionId } from '../contract/ids.ts';
import type { QueueChangeInput, QueuedChange } from '../contract/steps.ts';
import { LonghaulError } from '../contract/errors.ts';
import type { StepDeps } from './step.ts';

export function makeQueueChange({ sql }: StepDeps) {
  return async function queueChange({ taskId, partial }: QueueChangeInput): Promise<QueuedChange> {
    return sql.begin(async (tx) => {
      const [task] = await tx<{ session_id: SessionId; path: string | null }[]>`
        SELECT t.session_id, p.path FROM tasks t LEFT JOIN projects p ON p.id = t.project_id
         WHERE t.id = ${taskId} FOR UPDATE OF t`;
      if (!task) throw new LonghaulError('task_gone', `task ${taskId}: its row was deleted`);
      const row = await queueCollected(tx, { taskId, sessionId: task.session_id, projectPath: task.path, partial });
      if (!row) throw new LonghaulError('internal_error', `task ${taskId}: expected a collected diff, found none`);
      const { id: change_id, ...counts } = row;
      await appendKeyed(tx, task.session_id, [
        { key: `${taskId}:change`, taskId, body: { type: 'change_queued', change_id, ...counts } },
      ]);
      return { changeId: change_id };
    });
  };
}
