/**
 * Stores what each agent offers, as the newest probe of the agent found it. A requested probe is claimed by a
 * compare-and-set, so that many readers of a stale snapshot start only one probe. Probes are numbered when they begin.
 *
 * Must never happen: an older probe overwrites the result of a newer one; a failed probe removes what an earlier one
 * found.
 */
import type {
  AgentAuth,
  AgentOffer,
  AgentStatus,
  AgentTransport,
  ProbeReport,
  ProbeResult,
  ResumeVerdict,
} from '../contract/agent-snapshot.ts';
import { type ErrorCode, LonghaulError } from '../contract/errors.ts';
import type { ProjectId } from '../contract/ids.ts';
import { NATIVE_AGENT } from '../contract/names.ts';
import type { ListedAgent } from './available-agents.ts';
import type { Db } from './sql.ts';
import { wellFormed } from './well-formed.ts';

/** A snapshot older than this is still returned, but a new probe is requested. */
const STALE_S = 300;
/** A probe takes at most 30 s. If a probe has stored no result after this time, it counts as lost with its worker. */
const LOST_S = 90;

export interface AgentSnapshot {
  readonly name: string;
  readonly supports_acp: boolean | null;
  readonly install_path: string | null;
  readonly listed_by: string | null;
  readonly transport: AgentTransport;
  readonly enabled: boolean;
  readonly status: AgentStatus;
  /**
   * Whether the newest probe that ended found that the agent can be used. The value stays while the next probe runs.
   */
  readonly usable: boolean;
  /** Whether the reader must request a probe. */
  readonly stale: boolean;
  /** Whether the offer is younger than the age at which a probe is requested. */
  readonly fresh: boolean;
  readonly offer: AgentOffer | null;
  readonly install_hint: string | null;
  readonly error_code: ErrorCode | null;
  readonly error: string | null;
  readonly auth: AgentAuth | null;
  /**
   * Whether a resume check found that the agent really resumes, for the version that the newest successful probe found.
   */
  readonly verified_resume: ResumeVerdict;
  readonly fetched_at: Date | null;
}

/**
 * Returns the snapshots of the agents with these names, sorted by name. If `names` is null, it returns those of all
 * listed agents and of the native agent. Runs one statement.
 */
export async function agentSnapshots(
  db: Db,
  { projectId = null, names = null }: { projectId?: ProjectId | null; names?: readonly string[] | null } = {},
): Promise<AgentSnapshot[]> {
  return [
    ...(await db<AgentSnapshot[]>`
    SELECT a.name, a.supports_acp, a.install_path, a.listed_by, a.transport, d.name IS NULL AS enabled,
           CASE WHEN s.status IS NULL OR s.loading THEN 'loading' ELSE s.status END AS status,
           coalesce(s.status = 'ready', false) AS usable,
           NOT coalesce(s.loading, false)
             AND coalesce(s.finished_at < now() - make_interval(secs => ${STALE_S}), true) AS stale,
           coalesce(s.fetched_at > now() - make_interval(secs => ${STALE_S}), false) AS fresh,
           s.offer, s.install_hint, s.error_code, s.error, s.auth, s.fetched_at,
           CASE WHEN s.offer->'capabilities'->>'resume' = 'false' THEN 'no' ELSE coalesce(c.result, 'unknown') END
             AS verified_resume
      FROM (SELECT name, supports_acp, install_path, listed_by,
                   CASE WHEN supports_acp THEN 'acp' ELSE 'pty' END AS transport
              FROM available_agents WHERE name <> ${NATIVE_AGENT}
             UNION ALL
            SELECT ${NATIVE_AGENT}, NULL, NULL, NULL, 'native') a
      LEFT JOIN (SELECT s.*, ${loading(db)} AS loading FROM agent_snapshots s) s
        ON s.agent = a.name AND s.project_id IS NOT DISTINCT FROM ${projectId}::uuid
      LEFT JOIN resume_checks c
        ON c.agent = a.name AND c.version = coalesce(s.offer->>'version', '') AND a.transport = 'acp'
      LEFT JOIN disabled_agents d ON d.name = a.name
     WHERE ${names === null} OR a.name = ANY(${names ?? []}::text[])
     ORDER BY a.name`),
  ];
}

/**
 * SQL condition: a probe was requested less than LOST_S seconds ago and has not ended. `s` is the row of
 * `agent_snapshots`.
 */
const loading = (db: Db) => db`
  coalesce(s.requested_at > coalesce(s.finished_at, '-infinity')
           AND s.requested_at > now() - make_interval(secs => ${LOST_S}), false)`;

export interface SnapshotKey {
  readonly agent: string;
  readonly projectId: ProjectId | null;
}

/**
 * Claims the next probe and returns the id of its row. Returns undefined if an earlier probe was requested and has
 * neither ended nor been lost.
 */
export async function claimProbe(db: Db, { agent, projectId }: SnapshotKey): Promise<string | undefined> {
  const [row] = await db<{ id: string }[]>`
    INSERT INTO agent_snapshots AS s (agent, project_id, requested_at) VALUES (${agent}, ${projectId}, now())
    ON CONFLICT (agent, project_id) DO UPDATE SET requested_at = now()
     WHERE NOT ${loading(db)}
    RETURNING id`;
  return row?.id;
}

/** Releases a claimed probe that could not be started. The next reader may claim the probe at once. */
export async function releaseProbe(db: Db, id: string): Promise<void> {
  await db`UPDATE agent_snapshots SET requested_at = NULL WHERE id = ${id}`;
}

export interface BegunProbe {
  /** The probe's number. A later probe of the same agent and project has a higher one. */
  readonly number: number;
  readonly transport: AgentTransport;
  readonly agent: ListedAgent;
  /** The project's folder. Null if the probe uses a scratch folder. */
  readonly folder: string | null;
}

/**
 * Gives a number to a probe that begins. Returns undefined if the row was deleted, or if its agent is no longer listed.
 */
export async function beginProbe(db: Db, id: string): Promise<BegunProbe | undefined> {
  const [row] = await db<
    {
      begun: number;
      agent: string;
      listed: boolean;
      supports_acp: boolean | null;
      install_path: string | null;
      folder: string | null;
    }[]
  >`
    UPDATE agent_snapshots s SET begun = s.begun + 1
      FROM agent_snapshots t
      LEFT JOIN available_agents a ON a.name = t.agent AND a.name <> ${NATIVE_AGENT}
      LEFT JOIN projects p ON p.id = t.project_id
     WHERE s.id = ${id} AND t.id = s.id AND (a.name IS NOT NULL OR t.agent = ${NATIVE_AGENT})
    RETURNING s.begun, s.agent, a.name IS NOT NULL AS listed, a.supports_acp, a.install_path, p.path AS folder`;
  if (!row) return undefined;
  const { begun, agent: name, listed, supports_acp, install_path, folder } = row;
  const transport = !listed ? 'native' : supports_acp ? 'acp' : 'pty';
  return { number: begun, transport, agent: { name, supports_acp, install_path }, folder };
}

/**
 * Stores a probe's result. Returns false if a probe that began later has stored its result, or if the row was deleted.
 */
export async function storeProbe(
  db: Db,
  id: string,
  { number, result }: { number: number; result: ProbeResult },
): Promise<boolean> {
  const json = (value: unknown) => db.json(wellFormed(value) as never);
  const { status, install_hint, report } = result;
  const failed = result.status === 'ready' ? undefined : result;
  const auth = result.status === 'ready' ? result.offer.auth : result.auth;
  const rows = await db`
    UPDATE agent_snapshots
       SET stored = ${number}, finished_at = now(), status = ${status}, install_hint = ${install_hint}, auth = ${auth},
           error_code = ${failed?.code ?? null}, error = ${failed ? wellFormed(failed.message) : null},
           report = ${report === null ? null : json(report)}
           ${result.status === 'ready' ? db`, offer = ${json(result.offer)}, fetched_at = now()` : db``}
     WHERE id = ${id} AND stored < ${number}
    RETURNING id`;
  return rows.length > 0;
}

/** How the newest probe of an agent ran. */
export interface ProbeDiagnostic {
  readonly status: AgentStatus | null;
  readonly error_code: ErrorCode | null;
  readonly error: string | null;
  readonly install_hint: string | null;
  readonly report: ProbeReport | null;
  readonly finished_at: Date | null;
}

export async function probeDiagnostic(db: Db, { agent, projectId }: SnapshotKey): Promise<ProbeDiagnostic | undefined> {
  const [row] = await db<ProbeDiagnostic[]>`
    SELECT status, error_code, error, install_hint, report, finished_at FROM agent_snapshots
     WHERE agent = ${agent} AND project_id IS NOT DISTINCT FROM ${projectId}::uuid`;
  return row;
}

/** Enables or disables an agent for new tasks. */
export async function setEnabled(db: Db, name: string, enabled: boolean): Promise<void> {
  if (enabled) await db`DELETE FROM disabled_agents WHERE name = ${name}`;
  else await db`INSERT INTO disabled_agents (name) VALUES (${name}) ON CONFLICT (name) DO NOTHING`;
}

export async function isDisabled(db: Db, name: string): Promise<boolean> {
  return (await db`SELECT FROM disabled_agents WHERE name = ${name}`).length > 0;
}

/** The error with which a task is refused if a user has disabled its agent. */
export function agentDisabledError(name: string): LonghaulError {
  return new LonghaulError(
    'agent_disabled',
    `The agent ${name} is disabled: name another one, or enable it with \`longhaul agents enable ${name}\`.`,
  );
}
