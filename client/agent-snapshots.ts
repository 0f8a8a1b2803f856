/**
 * Lists the agents and what they offer. A caller gets the stored snapshots at once. If a snapshot is stale, the caller
 * gets it as it is, and `refreshed` starts a probe that updates it.
 */
import type { Client } from '@temporalio/client';
import type { AgentAuth, AgentOffer, AgentStatus, AgentTransport, ResumeVerdict } from '../contract/agent-snapshot.ts';
import { LonghaulError } from '../contract/errors.ts';
import type { ProjectId } from '../contract/ids.ts';
import { probeWorkflowId, WORKFLOW_QUEUE, WORKFLOW_TASK_TIMEOUT } from '../contract/names.ts';
import {
  type AgentSnapshot,
  agentSnapshots,
  claimProbe,
  probeDiagnostic,
  releaseProbe,
  setEnabled,
} from '../store/agent-snapshots.ts';
import { hostNames } from '../store/hosts.ts';
import { findProject } from '../store/projects.ts';
import { forgetResumeChecks } from '../store/resume-checks.ts';
import type { Sql } from '../store/sql.ts';

/** Timeout of the call that starts a probe's workflow. After this time the call counts as lost. */
const START_MS = 5_000;

export interface SnapshotDeps {
  readonly sql: Sql;
  readonly temporal: Client;
}

/** An agent as `GET /api/agents` lists it. */
export interface AgentEntry {
  readonly name: string;
  readonly supports_acp: boolean | null;
  readonly install_path: string | null;
  readonly listed_by: string | null;
  readonly label: string;
  readonly status: AgentStatus;
  readonly enabled: boolean;
  readonly transport: AgentTransport;
  readonly version: string | null;
  readonly install_hint: string | null;
  readonly auth: AgentAuth;
  readonly models: AgentOffer['models'];
  readonly modes: AgentOffer['modes'];
  readonly thinking_options: AgentOffer['thinking_options'];
  readonly commands: AgentOffer['commands'];
  readonly accepts_any: AgentOffer['accepts_any'];
  readonly capabilities: AgentOffer['capabilities'] | null;
  readonly verified: { readonly resume: ResumeVerdict };
  readonly error: string | null;
  readonly fetched_at: string | null;
}

export interface AgentList {
  readonly entries: AgentEntry[];
  /** Resolves when a probe was requested for each stale entry. Fails if Temporal or Postgres is unavailable. */
  readonly refreshed: () => Promise<void>;
}

/**
 * Lists what the agents offer in the folder of the project `projectId`, or in no project if `projectId` is null. Fails
 * with `project_not_found`.
 */
export async function listAgentEntries(deps: SnapshotDeps, projectId: ProjectId | null): Promise<AgentList> {
  const snapshots = await agentSnapshots(deps.sql, { projectId });
  if (projectId !== null) await requireProject(deps.sql, projectId);
  const stale = snapshots.filter((snapshot) => snapshot.stale && snapshot.enabled).map(({ name }) => name);
  return {
    entries: snapshots.map(entryOf),
    refreshed: () => askForProbes(deps, stale, projectId),
  };
}

/** Requests a probe of one agent, even if its snapshot is not stale. Fails with `agent_not_found`. */
export async function refreshAgent(deps: SnapshotDeps, name: string, projectId: ProjectId | null): Promise<AgentEntry> {
  if (projectId !== null) await requireProject(deps.sql, projectId);
  await requireAgent(deps.sql, name);
  // A user who asks for a probe may have corrected the agent.
  await forgetResumeChecks(deps.sql, name, 'failed');
  await askForProbes(deps, [name], projectId);
  return agentEntry(deps.sql, name, projectId);
}

export async function agentEntry(sql: Sql, name: string, projectId: ProjectId | null): Promise<AgentEntry> {
  const [snapshot] = await agentSnapshots(sql, { projectId, names: [name] });
  if (snapshot) return entryOf(snapshot);
  throw await notFound(sql, name);
}

/** Enables or disables an agent for new tasks. Fails with `agent_not_found`. */
export async function enableAgent(sql: Sql, name: string, enabled: boolean): Promise<AgentEntry> {
  await requireAgent(sql, name);
  await setEnabled(sql, name, enabled);
  return agentEntry(sql, name, null);
}

/** Describes how the newest probe of an agent ran, and what the user can do about a failure. */
export interface AgentDiagnostic {
  readonly name: string;
  readonly status: AgentStatus;
  readonly error_code: string | null;
  readonly command: readonly string[];
  readonly exit_code: number | null;
  readonly signal: string | null;
  readonly stderr: string;
  readonly advice: string;
  readonly finished_at: string | null;
}

export async function diagnoseAgent(sql: Sql, name: string, projectId: ProjectId | null): Promise<AgentDiagnostic> {
  if (projectId !== null) await requireProject(sql, projectId);
  const entry = await agentEntry(sql, name, projectId);
  const found = await probeDiagnostic(sql, { agent: name, projectId });
  return {
    name,
    status: entry.status,
    error_code: found?.error_code ?? null,
    command: found?.report?.command ?? [],
    exit_code: found?.report?.exit_code ?? null,
    signal: found?.report?.signal ?? null,
    stderr: found?.report?.stderr ?? '',
    advice: found?.error ?? adviceFor(entry, found?.finished_at ?? null),
    finished_at: found?.finished_at?.toISOString() ?? null,
  };
}

function adviceFor({ name, status }: AgentEntry, finishedAt: Date | null): string {
  if (finishedAt === null) return `${name} was not probed yet: \`longhaul agents refresh ${name}\` starts it once.`;
  return status === 'loading'
    ? `A probe of ${name} is under way.`
    : `${name} started and made a session: nothing to do.`;
}

/**
 * Requests a probe of each named agent, unless a probe of the agent has not ended. Does nothing before the first worker
 * has started.
 */
export async function askForProbes(
  deps: SnapshotDeps,
  names: readonly string[],
  projectId: ProjectId | null,
): Promise<void> {
  if (names.length === 0) return;
  const [host] = await hostNames(deps.sql);
  // Without a host no worker has started yet, so no worker could run the probe.
  if (host === undefined) return;
  await Promise.all(names.map((agent) => askForProbe(deps, { agent, projectId, host })));
}

interface ProbeOf {
  readonly agent: string;
  readonly projectId: ProjectId | null;
  readonly host: string;
}

async function askForProbe({ sql, temporal }: SnapshotDeps, { agent, projectId, host }: ProbeOf): Promise<void> {
  const snapshotId = await claimProbe(sql, { agent, projectId });
  if (snapshotId === undefined) return;
  try {
    await temporal.withDeadline(Date.now() + START_MS, () =>
      temporal.workflow.start('probeAgent', {
        taskQueue: WORKFLOW_QUEUE,
        workflowId: probeWorkflowId(snapshotId),
        args: [{ snapshotId, host }],
        workflowTaskTimeout: WORKFLOW_TASK_TIMEOUT,
        // If no worker takes the probe within this time, the workflow ends, and the next reader of the snapshot
        // requests another probe.
        workflowExecutionTimeout: '2m',
        workflowIdConflictPolicy: 'USE_EXISTING',
      }),
    );
  } catch (error) {
    await releaseProbe(sql, snapshotId);
    throw error;
  }
}

async function requireProject(sql: Sql, projectId: ProjectId): Promise<void> {
  if (await findProject(sql, projectId)) return;
  throw new LonghaulError('project_not_found', `There is no project ${projectId}.`);
}

async function requireAgent(sql: Sql, name: string): Promise<void> {
  await agentEntry(sql, name, null);
}

async function notFound(sql: Sql, name: string): Promise<LonghaulError> {
  const names = (await agentSnapshots(sql)).map((one) => one.name).join(', ');
  return new LonghaulError(
    'agent_not_found',
    `There is no agent ${JSON.stringify(name)}. Listed: ${names}. \`longhaul agents\` shows what can be added.`,
  );
}

function entryOf(snapshot: AgentSnapshot): AgentEntry {
  const { name, supports_acp, install_path, listed_by, status, enabled, transport, offer } = snapshot;
  return {
    name,
    supports_acp,
    install_path,
    listed_by,
    label: offer?.label ?? name,
    status,
    enabled,
    transport,
    version: offer?.version ?? null,
    install_hint: snapshot.install_hint,
    auth: snapshot.auth ?? 'unknown',
    models: offer?.models ?? [],
    modes: offer?.modes ?? [],
    thinking_options: offer?.thinking_options ?? [],
    commands: offer?.commands ?? [],
    accepts_any: offer?.accepts_any ?? [],
    capabilities: offer?.capabilities ?? null,
    verified: { resume: snapshot.verified_resume },
    error: snapshot.error,
    fetched_at: snapshot.fetched_at?.toISOString() ?? null,
  };
}
