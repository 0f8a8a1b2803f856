/** How a run ends in Temporal: its list of workflows, its alerts and its search then say what became of the task. */
import { ApplicationFailure, CancelledFailure, condition, workflowInfo } from '@temporalio/workflow';
import type { TaskResult } from '../contract/task.ts';

/** The finish step has asked for the run's cancel; it comes with the next workflow task. */
const CANCEL_COMES_WITHIN = '10s';

/** Returns what completed. Throws the failure of what failed, with the task's code as its type, or the cancel. */
export async function concluded(result: TaskResult): Promise<TaskResult> {
  const { state, code = 'internal_error' } = result;
  switch (state) {
    case 'completed':
      return result;
    case 'failed':
      throw ApplicationFailure.create({ type: code, message: result.summary || seeShow(), nonRetryable: true });
    case 'cancelled':
      // A run whose cancel was not requested would end as failed. The request cancels this scope, which ends the wait.
      await condition(() => false, CANCEL_COMES_WITHIN);
      throw new CancelledFailure(result.summary || seeShow());
  }
}

const seeShow = (): string => `\`longhaul show ${workflowInfo().workflowId.replace('task-', '')}\` says why.`;
