/** Step 5, queue change: inserts one row into `pending_changes` for the task. A user applies or rejects the change. */
import { queueCollected } from '../store/collected-diffs.ts';
import type { QueueChangeInput, QueuedChange } from '../contract/steps.ts';
import { LonghaulError } from '../contract/errors.ts';
import type { StepDeps } from './step.ts';

export function makeQueueChange({ sql }: StepDeps) {
  return async function queueChange({ taskId, partial }: QueueChangeInput): Promise<QueuedChange> {
    const queued = await sql.begin((tx) => queueCollected(tx, { taskId, partial }));
    if (queued.kind === 'superseded') throw new LonghaulError('task_gone', `task ${taskId}: its row was deleted`);
    if (queued.kind === 'no_diff') {
      throw new LonghaulError('internal_error', `task ${taskId}: expected a collected diff, found none`);
    }
    return { changeId: queued.changeId };
  };
}
