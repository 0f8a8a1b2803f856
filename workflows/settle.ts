/**
 * The closing steps for a task whose own run is gone (terminated in the Web UI): what the agent wrote is
 * kept and the row becomes final, as if the run had ended by itself.
 */
import { closeTask } from './close.ts';
import type { SettleInput, TaskResult } from './contract.ts';
import { openTask } from './live.ts';
import { steps } from './steps.ts';

export async function settle({ taskId, host, end }: SettleInput): Promise<TaskResult> {
  const run = steps(host);
  const live = openTask(taskId, run);
  return closeTask({ taskId, run, live, end, partial: true });
}
