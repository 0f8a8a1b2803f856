/**
 * Stores the agents that tasks may name. A row that a starting worker inserted belongs to `longhaul`, a row that
 * `longhaul agents add` inserted belongs to `user`, and any other row belongs to another program. Must never happen: a
 * row of another owner is changed or deleted without a request. If a user or a program sets install_path in a row of
 * `longhaul`, the row belongs to that user or program from then on.
 */
import type { TaskId } from '../contract/ids.ts';
import type { Db } from './sql.ts';

export interface ListedAgent {
  readonly name: string;
  readonly supports_acp: boolean | null;
  /** The path of the agent's program. Null if the catalogue has the command that starts the agent. */
  readonly install_path: string | null;
}

export interface AgentRow extends ListedAgent {
  readonly listed_by: string | null;
}

/**
 * Lists an agent whose program a worker found. Returns true if the agent was not listed before. An agent that a user
 * removed stays removed.
 */
export async function listAgent(db: Db, agent: Omit<ListedAgent, 'install_path'>): Promise<boolean> {
  const rows = await db<{ added: boolean }[]>`
    INSERT INTO available_agents (name, supports_acp, install_path, listed_by)
    SELECT ${agent.name}::text, ${agent.supports_acp}::boolean, NULL::text, 'longhaul'
     WHERE NOT EXISTS (SELECT FROM unlisted_agents WHERE name = ${agent.name})
    ON CONFLICT (name) DO UPDATE SET supports_acp = EXCLUDED.supports_acp
     WHERE available_agents.listed_by = 'longhaul' AND available_agents.install_path IS NULL
    RETURNING xmax = 0 AS added`;
  return rows[0]?.added === true;
}

/**
 * Removes the row of an agent whose program a worker does not find, if a worker inserted the row. The row stays while
 * an open task names the agent, and if it has an install_path. Returns whether the row was removed.
 */
export async function unlistMissing(db: Db, name: string): Promise<boolean> {
  const rows = await db`
    DELETE FROM available_agents a
     WHERE a.name = ${name} AND a.listed_by = 'longhaul' AND a.install_path IS NULL
       AND NOT EXISTS (SELECT FROM tasks WHERE agent = ${name} AND state IN ('pending', 'running'))
    RETURNING a.name`;
  return rows.length > 0;
}

export async function listAgents(db: Db): Promise<AgentRow[]> {
  return [
    ...(await db<AgentRow[]>`SELECT name, supports_acp, install_path, listed_by FROM available_agents ORDER BY name`),
  ];
}

/** Lists an agent at a user's request. Returns false if another program owns the row of that name. */
export async function putAgent(db: Db, agent: ListedAgent): Promise<boolean> {
  await db`DELETE FROM unlisted_agents WHERE name = ${agent.name}`;
  const rows = await db`
    INSERT INTO available_agents (name, supports_acp, install_path, listed_by)
    VALUES (${agent.name}, ${agent.supports_acp}, ${agent.install_path}, 'user')
    ON CONFLICT (name) DO UPDATE
      SET supports_acp = EXCLUDED.supports_acp, install_path = EXCLUDED.install_path, listed_by = 'user'
     WHERE available_agents.listed_by IN ('longhaul', 'user')
    RETURNING name`;
  return rows.length > 0;
}

export type UnlistResult =
  | { readonly kind: 'removed'; readonly row: AgentRow }
  | { readonly kind: 'not_listed' }
  | { readonly kind: 'in_use'; readonly tasks: readonly TaskId[] };

/**
 * Removes an agent from the list at a user's request. No worker lists the agent again until `putAgent` is called. An
 * agent that open tasks name stays listed; the result then has those tasks.
 */
export async function unlistAgent(db: Db, name: string): Promise<UnlistResult> {
  const tasks = await db<{ id: TaskId }[]>`
    SELECT id FROM tasks WHERE agent = ${name} AND state IN ('pending', 'running') ORDER BY created_at`;
  if (tasks.length > 0) return { kind: 'in_use', tasks: tasks.map(({ id }) => id) };
  const [row] = await db<AgentRow[]>`
    DELETE FROM available_agents WHERE name = ${name} RETURNING name, supports_acp, install_path, listed_by`;
  if (!row) return { kind: 'not_listed' };
  await db`INSERT INTO unlisted_agents (name) VALUES (${name}) ON CONFLICT (name) DO NOTHING`;
  return { kind: 'removed', row };
}

/** Returns the names of the agents that a user removed from the list. */
export async function unlistedAgents(db: Db): Promise<string[]> {
  return (await db<{ name: string }[]>`SELECT name FROM unlisted_agents`).map(({ name }) => name);
}
