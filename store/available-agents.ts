/**
 * Agents that tasks may name. A row made by a starting worker belongs to `longhaul`, one made by `longhaul agents add` to
 * `user`; any other belongs to another program. Must never happen: a row of another owner is changed or deleted without
 * a request. If a user or program sets install_path in one of our rows, the row is theirs from then on.
 */
import type { TaskId } from '../contract/ids.ts';
import type { Db } from './sql.ts';

export interface ListedAgent {
  readonly name: string;
  readonly supports_acp: boolean | null;
  /** Absent: the catalogue has the command that starts it. */
  readonly install_path: string | null;
}

export interface AgentRow extends ListedAgent {
  readonly listed_by: string | null;
}

/** For a worker that found the agent's program. True: it was not listed before. An agent that a user removed stays removed. */
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

/** For a worker that does not find the program of a row that a worker made. Tasks that wait for it keep the row. */
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

/** For a user's request. False: a row of that name exists that neither a worker nor a user made. */
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

export type Unlisted =
  | { readonly kind: 'removed'; readonly row: AgentRow }
  | { readonly kind: 'not_listed' }
  | { readonly kind: 'in_use'; readonly tasks: readonly TaskId[] };

/** For a user's request; it is valid until `putAgent`. Open tasks that name the agent keep it. */
export async function unlistAgent(db: Db, name: string): Promise<Unlisted> {
  const tasks = await db<{ id: TaskId }[]>`
    SELECT id FROM tasks WHERE agent = ${name} AND state IN ('pending', 'running') ORDER BY created_at`;
  if (tasks.length > 0) return { kind: 'in_use', tasks: tasks.map(({ id }) => id) };
  const [row] = await db<AgentRow[]>`
    DELETE FROM available_agents WHERE name = ${name} RETURNING name, supports_acp, install_path, listed_by`;
  if (!row) return { kind: 'not_listed' };
  await db`INSERT INTO unlisted_agents (name) VALUES (${name}) ON CONFLICT (name) DO NOTHING`;
  return { kind: 'removed', row };
}

/** Names that a user removed from the list. */
export async function unlistedAgents(db: Db): Promise<string[]> {
  return (await db<{ name: string }[]>`SELECT name FROM unlisted_agents`).map(({ name }) => name);
}
