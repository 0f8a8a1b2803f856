/**
 * Runs the closing steps for a task whose own run no longer exists, for example because it was terminated in the Web
 * UI. The steps store what the agent wrote and make the row final, as the run itself would have done.
 */
import { commandsOf } from './commands.ts';
import { closeTask } from './close.ts';
import type { SettleInput, TaskResult } from '../contract/task.ts';
import { makeLiveTask } from './live.ts';
import { steps } from './steps.ts';

export async function settle(input: SettleInput): Promise<TaskResult> {
  const { taskId, host, end } = input;
  const commands = commandsOf(input);
  const run = steps(host, commands);
  const live = makeLiveTask(taskId, run, commands);
  return closeTask({ taskId, run, live, end, partial: true, truthfulEnd: false });
}
