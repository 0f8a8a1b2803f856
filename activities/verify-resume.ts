/**
 * The step of the workflow `verifyResume`: it checks whether an agent can load its session after a kill, and stores the
 * result for this version of the agent. A step that is executed twice prompts the agent twice and stores the first
 * result.
 */
import { rm } from 'node:fs/promises';
import { checkResume } from '../agents/resume-check.ts';
import type { AgentOffer, ProbeInput, ResumeCheck, ResumeSteps } from '../contract/agent-snapshot.ts';
import { messageOf } from '../contract/errors.ts';
import { verifyResumeWorkflowId, WORKFLOW_QUEUE, WORKFLOW_TASK_TIMEOUT } from '../contract/names.ts';
import type { BegunProbe } from '../store/agent-snapshots.ts';
import { checkedAgent, type CheckedAgent, claimResumeCheck, releaseResumeCheck, storeResumeCheck } from '../store/resume-checks.ts'; // prettier-ignore
import { scratchFolder } from './scratch-folder.ts';
import { type StepDeps, withHeartbeat } from './step.ts';

/** The time limit of the whole check, and of each start of the agent in it. */
const CHECK_MS = 120_000;
const START_MS = 30_000;

/**
 * Starts the check of a probed agent, if it reports that it can resume and this version was not checked. The agent must
 * need no login, because the check prompts it. A failure is logged; then the next probe starts the check.
 */
export async function startResumeCheck(
  deps: StepDeps,
  { snapshotId, host }: ProbeInput,
  { probe: { transport, agent }, offer }: { probe: BegunProbe; offer: AgentOffer },
): Promise<void> {
  if (!deps.verifyResume || transport !== 'acp' || offer.auth !== 'ok' || !offer.capabilities.resume) return;
  const key = { agent: agent.name, version: offer.version ?? '' };
  try {
    if (!(await claimResumeCheck(deps.sql, key))) return;
    await deps.temporal.workflow
      .start('verifyResume', {
        taskQueue: WORKFLOW_QUEUE,
        workflowId: verifyResumeWorkflowId(snapshotId),
        args: [{ snapshotId, host }],
        workflowTaskTimeout: WORKFLOW_TASK_TIMEOUT,
        workflowExecutionTimeout: '8m',
        workflowIdConflictPolicy: 'USE_EXISTING',
      })
      .catch(async (error: unknown) => {
        await releaseResumeCheck(deps.sql, key);
        throw error;
      });
  } catch (error) {
    deps.log.warn({ err: error, agent: agent.name }, `no resume check was started: ${messageOf(error)}`);
  }
}

export function makeVerifyResume(deps: StepDeps): ResumeSteps['verifyResume'] {
  return async function verify({ snapshotId }: ProbeInput) {
    const checked = await checkedAgent(deps.sql, snapshotId);
    if (!checked) return { result: 'gone' };
    const check = await withHeartbeat((signal) =>
      checkIn(deps, checked, AbortSignal.any([signal, deps.forceShutdown])),
    );
    await storeResumeCheck(deps.sql, { agent: checked.agent.name, version: checked.version }, check);
    return { result: check.result };
  };
}

async function checkIn(deps: StepDeps, { agent }: CheckedAgent, stop: AbortSignal): Promise<ResumeCheck> {
  const tooLong = AbortSignal.timeout(CHECK_MS);
  const cwd = await scratchFolder(deps);
  try {
    return await checkResume(deps.agents, {
      name: agent.name,
      path: 'acp',
      agent: { name: agent.name, installPath: agent.install_path },
      env: deps.env,
      cwd,
      timeoutMs: START_MS,
      signal: AbortSignal.any([stop, tooLong]),
    });
  } catch (error) {
    if (stop.aborted || !tooLong.aborted) throw error;
    return { result: 'unknown', reason: `${agent.name} was not checked within ${CHECK_MS / 1_000} s.` };
  } finally {
    await rm(cwd, { recursive: true, force: true });
  }
}
