/**
 * The step of the workflow `probeAgent`: it starts one agent in one folder, reads what the agent offers, ends the agent
 * and stores the result. Two executions of the step do no harm, because a probe that began earlier never overwrites the
 * result of a later one.
 */
import { realpath, rm } from 'node:fs/promises';
import { probeAgent } from '../agents/probe.ts';
import type { ProbeInput, ProbeResult, ProbeSteps } from '../contract/agent-snapshot.ts';
import { isErrno, LonghaulError } from '../contract/errors.ts';
import { beginProbe, type BegunProbe, storeProbe } from '../store/agent-snapshots.ts';
import { scratchFolder } from './scratch-folder.ts';
import { type StepDeps, withHeartbeat } from './step.ts';
import { startResumeCheck } from './verify-resume.ts';

/** The time limit of a probe, from the start of the agent until it has opened its session. */
const PROBE_MS = 30_000;

export function makeProbeAgent(deps: StepDeps): ProbeSteps['probeAgent'] {
  return async function probe(input: ProbeInput) {
    const { snapshotId } = input;
    const begun = await beginProbe(deps.sql, snapshotId);
    if (!begun) return { status: 'gone' };
    const result = await withHeartbeat((signal) => probeIn(deps, begun, AbortSignal.any([signal, deps.forceShutdown])));
    const { number } = begun;
    if (!(await storeProbe(deps.sql, snapshotId, { number, result }))) return { status: 'superseded' };
    if (result.status === 'ready') await startResumeCheck(deps, input, { probe: begun, offer: result.offer });
    return { status: result.status };
  };
}

async function probeIn(deps: StepDeps, begun: BegunProbe, signal: AbortSignal): Promise<ProbeResult> {
  const folder = await folderOf(deps, begun);
  if (folder.kind === 'missing') return folder.result;
  const { transport, agent } = begun;
  try {
    return await probeAgent(deps.agents, {
      name: agent.name,
      path: transport,
      ...(transport === 'native' ? {} : { agent: { name: agent.name, installPath: agent.install_path } }),
      env: deps.env,
      cwd: folder.path,
      timeoutMs: PROBE_MS,
      signal,
    });
  } finally {
    if (folder.kind === 'scratch') await rm(folder.path, { recursive: true, force: true });
  }
}

type ProbeFolder =
  | { readonly kind: 'project' | 'scratch'; readonly path: string }
  | { readonly kind: 'missing'; readonly result: ProbeResult };

/** Returns the project's folder, or an empty folder in the home if there is no project. */
async function folderOf(deps: StepDeps, { folder, agent }: BegunProbe): Promise<ProbeFolder> {
  if (folder === null) {
    return { kind: 'scratch', path: await scratchFolder(deps) };
  }
  try {
    return { kind: 'project', path: await realpath(folder) };
  } catch (error) {
    if (!isErrno(error, 'ENOENT', 'ENOTDIR')) throw error;
    const { code, message } = new LonghaulError(
      'project_missing',
      `${agent.name} was not started: expected the project's folder ${folder}, found none.`,
    );
    const result = { status: 'error', code, message, auth: 'unknown', report: null, install_hint: null } as const;
    return { kind: 'missing', result };
  }
}
