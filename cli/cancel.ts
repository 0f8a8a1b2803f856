/** `longhaul cancel`: cancels a task in any phase. */
import { cancel, type CancelOutcome } from '../client/cancel.ts';
import { resolveTaskId } from '../client/task-ids.ts';
import { describe, type TaskDescription } from '../client/tasks.ts';
import { isFinal } from '../contract/task.ts';
import { assertNever } from '../contract/errors.ts';
import { runCommand } from './exit.ts';
import { withLonghaul } from './longhaul.ts';
import { shortId } from '../contract/ids.ts';

export const cancelAction = (text: string, options: { reason?: string; json?: boolean }) =>
  runCommand(options, () =>
    withLonghaul(async ({ longhaul }) => {
      const taskId = await resolveTaskId(longhaul.sql, text);
      const outcome = await cancel(longhaul, taskId, options.reason);
      const shown = options.json
        ? JSON.stringify({ task_id: taskId, ...outcome })
        : sentence(await describe(longhaul, taskId), outcome);
      process.stdout.write(`${shown}\n`);
    }),
  );

/**
 * Returns a sentence about what happened to the task. `task` must be read after the cancel request was stored, because
 * a task that was about to start may have ended by then.
 */
function sentence(task: TaskDescription, outcome: CancelOutcome): string {
  const id = shortId(task.id);
  switch (outcome.kind) {
    case 'cancelled':
      return `task ${id} is cancelled; it had not started`;
    case 'requested':
      return `task ${id} is being cancelled; \`longhaul watch ${id}\` shows how it ends`;
    case 'recorded':
      return recordedText(task);
    case 'already_ended':
      return `task ${id} is already ${outcome.state}; nothing to cancel`;
    default:
      return assertNever(outcome);
  }
}

function recordedText(task: TaskDescription): string {
  const id = shortId(task.id);
  if (task.state === 'cancelled') return `task ${id} is cancelled${task.run_id === null ? '; it had not started' : ''}`;
  if (isFinal(task.state)) return `task ${id} is ${task.state}; it ended before the cancel request reached it`;
  if (task.run_id === null)
    return `the cancel request is stored; task ${id} has not started, and no agent will start for it`;
  return `the cancel request is stored; it reaches task ${id} as soon as Temporal responds`;
}
