/** The step publish progress: writes the phase that the turn reports to the task's row and to the session's log. */
import { Context } from '@temporalio/activity';
import { enterTurnPhase } from '../store/tasks.ts';
import type { PublishInput } from '../contract/steps.ts';
import type { StepDeps } from './step.ts';

export function makePublishProgress({ sql }: StepDeps) {
  return async function publishProgress({ ordinal, ...turn }: PublishInput): Promise<void> {
    const runId = Context.current().info.workflowExecution?.runId ?? '';
    // If the dispatch step has ended meanwhile, this transition changes nothing (it is superseded), and the row keeps
    // the phase of the later step.
    await sql.begin((tx) => enterTurnPhase(tx, { ...turn, key: `${runId}:progress-${ordinal}` }));
  };
}
