/** How a run ends in Temporal. Temporal's list of workflows, its search and alerts then show the task's final state. */
import { ApplicationFailure, CancelledFailure, condition, workflowInfo } from '@temporalio/workflow';
import type { TaskResult } from '../contract/task.ts';

/** The finish step has requested the run's cancel; the next workflow task delivers it. */
const CANCEL_COMES_WITHIN = '10s';

/** Returns the result of a completed task. Throws a failure with the task's code as its type, or the cancel. */
export async function concluded(result: TaskResult): Promise<TaskResult> {
  const { state, code = 'internal_error' } = result;
  switch (state) {
    case 'completed':
      return result;
    case 'failed':
      throw ApplicationFailure.create({ type: code, message: result.summary || seeShow(), nonRetryable: true });
    case 'cancelled':
      // Temporal fails a run that throws a cancel which was not requested. The request cancels this scope, which ends the wait.
      await condition(() => false, CANCEL_COMES_WITHIN);
      throw new CancelledFailure(result.summary || seeShow());
  }
}

const seeShow = (): string => `\`longhaul show ${workflowInfo().workflowId.replace('task-', '')}\` shows why.`;
