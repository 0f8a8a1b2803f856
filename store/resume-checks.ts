/**
 * Stores whether agents can continue a session after a kill, as a check found it, once per agent version. A check is
 * claimed by an insert, so that several probes of an agent start only one check.
 */
import type { ResumeCheck } from '../contract/agent-snapshot.ts';
import { NATIVE_AGENT } from '../contract/names.ts';
import type { ListedAgent } from './available-agents.ts';
import type { Db } from './sql.ts';
import { wellFormed } from './well-formed.ts';

/**
 * A check takes at most two minutes. If a check has stored no result after this time, it counts as lost with its
 * worker.
 */
const LOST_S = 600;
/** A check whose result is `unknown` is made again after this time, because it prompts a model, which may cost money. */
const REPEATED_S = 24 * 3_600;

export interface ResumeCheckKey {
  readonly agent: string;
  /** Empty: the agent reports no version. */
  readonly version: string;
}

/** Claims the check. Returns true if the caller must make the check now. */
export async function claimResumeCheck(db: Db, { agent, version }: ResumeCheckKey): Promise<boolean> {
  const rows = await db`
    INSERT INTO resume_checks AS c (agent, version) VALUES (${agent}, ${version})
    ON CONFLICT (agent, version) DO UPDATE SET begun_at = now(), result = NULL, reason = NULL, finished_at = NULL
     WHERE c.result IS NULL AND c.begun_at < now() - make_interval(secs => ${LOST_S})
        OR c.result = 'unknown' AND c.finished_at < now() - make_interval(secs => ${REPEATED_S})
    RETURNING agent`;
  return rows.length > 0;
}

/** Releases a claimed check that could not be started. The next probe may claim it at once. */
export async function releaseResumeCheck(db: Db, { agent, version }: ResumeCheckKey): Promise<void> {
  await db`DELETE FROM resume_checks WHERE agent = ${agent} AND version = ${version} AND result IS NULL`;
}

export async function storeResumeCheck(
  db: Db,
  { agent, version }: ResumeCheckKey,
  { result, reason }: ResumeCheck,
): Promise<void> {
  await db`
    UPDATE resume_checks SET result = ${result}, reason = ${wellFormed(reason)}, finished_at = now()
     WHERE agent = ${agent} AND version = ${version} AND result IS NULL`;
}

/**
 * Deletes the results of an agent after a user has changed the agent, so that the agent's next probe starts a check.
 */
export async function forgetResumeChecks(db: Db, agent: string, which: 'all' | 'failed' = 'all'): Promise<void> {
  await db`
    DELETE FROM resume_checks WHERE agent = ${agent} AND (${which} = 'all' OR result IN ('no', 'unknown'))`;
}

export interface CheckedAgent {
  readonly agent: ListedAgent;
  readonly version: string;
}

/**
 * Returns the agent of a probe's row. Undefined if the row was deleted, or if the agent is no longer listed or no
 * longer uses ACP.
 */
export async function checkedAgent(db: Db, snapshotId: string): Promise<CheckedAgent | undefined> {
  const [row] = await db<(ListedAgent & { version: string })[]>`
    SELECT a.name, a.supports_acp, a.install_path, coalesce(s.offer->>'version', '') AS version
      FROM agent_snapshots s JOIN available_agents a ON a.name = s.agent
     WHERE s.id = ${snapshotId} AND a.supports_acp AND a.name <> ${NATIVE_AGENT}`;
  if (!row) return undefined;
  const { version, ...agent } = row;
  return { agent, version };
}
