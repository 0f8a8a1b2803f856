/**
 * Finds what one agent offers in one folder. Each agent has a separate run, so an agent that hangs delays no other
 * probe.
 */
import { proxyActivities } from '@temporalio/workflow';
import type { ProbeInput, ProbeSteps } from '../contract/agent-snapshot.ts';
import { probeQueue } from '../contract/names.ts';

export async function probeAgent(input: ProbeInput): Promise<void> {
  const step = proxyActivities<ProbeSteps>({
    taskQueue: probeQueue(input.host),
    // The step itself ends the probe after 30 s. The rest of the time is for the end of the agent's processes.
    startToCloseTimeout: '60s',
    // If the worker exits, its probe is lost. The next reader of the snapshot requests another probe.
    scheduleToCloseTimeout: '90s',
    heartbeatTimeout: '10s',
    retry: { initialInterval: '500ms', maximumAttempts: 3 },
    summary: 'start the agent and ask what it offers',
  });
  await step.probeAgent(input);
}
