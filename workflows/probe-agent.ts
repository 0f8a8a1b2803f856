/** Finds out what one agent offers, in one folder. Each agent has a run of its own, so that one that hangs delays none. */
import { proxyActivities } from '@temporalio/workflow';
import type { ProbeInput, ProbeSteps } from '../contract/agent-snapshot.ts';
import { probeQueue } from '../contract/names.ts';

export async function probeAgent(input: ProbeInput): Promise<void> {
  const step = proxyActivities<ProbeSteps>({
    taskQueue: probeQueue(input.host),
    // The step itself bounds the probe at 30 s. The rest is for the end of the agent's processes.
    startToCloseTimeout: '60s',
    // A worker that is gone takes the probe with it: the next reader of the snapshot asks for another one.
    scheduleToCloseTimeout: '90s',
    heartbeatTimeout: '10s',
    retry: { initialInterval: '500ms', maximumAttempts: 3 },
    summary: 'start the agent and ask what it offers',
  });
  await step.probeAgent(input);
}
