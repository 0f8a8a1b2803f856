/**
 * Ends a run in Temporal with the final state of its task, so that Temporal's list of workflows, its search and its
 * alerts show that state.
 */
import { ApplicationFailure, CancelledFailure, condition, workflowInfo } from '@temporalio/workflow';
import type { TaskResult } from '../contract/task.ts';

/**
 * How long the run waits until Temporal delivers the cancel that the finish step has requested. The next workflow task
 * delivers it.
 */
const CANCEL_COMES_WITHIN = '10s';

/**
 * Returns the result of a completed task. For a failed task it throws a failure with the task's code as its type. For a
 * cancelled task it throws the cancel.
 */
export async function resultOrThrow(result: TaskResult): Promise<TaskResult> {
  const { state, code = 'internal_error' } = result;
  switch (state) {
    case 'completed':
      return result;
    case 'failed':
      throw ApplicationFailure.create({ type: code, message: result.summary || seeShow(), nonRetryable: true });
    case 'cancelled':
      // Temporal fails a run that throws a cancel which was not requested. The requested cancel ends this scope, so the
      // wait ends, too.
      await condition(() => false, CANCEL_COMES_WITHIN);
      throw new CancelledFailure(result.summary || seeShow());
  }
}

const seeShow = (): string => `\`longhaul show ${workflowInfo().workflowId.replace('task-', '')}\` shows why.`;
