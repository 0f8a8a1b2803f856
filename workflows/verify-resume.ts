/**
 * Checks whether one agent can continue a session after its process was killed. Each agent has a separate run, and no
 * probe waits for it.
 */
import { proxyActivities } from '@temporalio/workflow';
import type { ProbeInput, ResumeSteps } from '../contract/agent-snapshot.ts';
import { probeQueue } from '../contract/names.ts';

export async function verifyResume(input: ProbeInput): Promise<void> {
  const step = proxyActivities<ResumeSteps>({
    taskQueue: probeQueue(input.host),
    // The step itself ends the check after two minutes. The rest of the time is for the end of the agent's processes.
    startToCloseTimeout: '150s',
    scheduleToCloseTimeout: '6m',
    heartbeatTimeout: '10s',
    // The second attempt is for a worker that exits during the check. Each attempt prompts the agent once.
    retry: { initialInterval: '500ms', maximumAttempts: 2 },
    summary: 'kill the agent in a turn and load its session',
  });
  await step.verifyResume(input);
}
