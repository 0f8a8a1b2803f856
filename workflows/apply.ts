/**
 * Carries out one action on a change: applies the change to the project's checkout, or undoes the change there. The
 * first step may be executed several times and has the effect of one execution. If the first step fails permanently,
 * the second step restores the files that were written.
 */
import { ActivityFailure, proxyActivities } from '@temporalio/workflow';
import type { ActionResult, ActionRunInput, ActionSteps } from '../contract/change-actions.ts';
import { hostQueue } from '../contract/names.ts';

export async function apply({ actionId, host }: ActionRunInput): Promise<ActionResult> {
  const onHost = { taskQueue: hostQueue(host), startToCloseTimeout: '30m', heartbeatTimeout: '15s' } as const;
  const { carryOutAction } = proxyActivities<ActionSteps>({
    ...onHost,
    // Few attempts, because a user waits for the result.
    retry: { initialInterval: '300ms', backoffCoefficient: 2, maximumInterval: '5s', maximumAttempts: 6 },
    summary: 'write the files of the change',
  });
  const { abandonAction } = proxyActivities<ActionSteps>({
    ...onHost,
    // The number of attempts has no limit, because otherwise a part of the change would stay in the checkout.
    retry: { initialInterval: '500ms', backoffCoefficient: 2, maximumInterval: '30s' },
    summary: 'restore the files that were written',
  });
  try {
    return await carryOutAction({ actionId });
  } catch (error) {
    if (!(error instanceof ActivityFailure)) throw error;
    return abandonAction({ actionId });
  }
}
