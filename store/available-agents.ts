/** Agents that tasks may name. Rows that Longhaul listed are renewed; anybody else's are left as they are. */
import type { Db } from './sql.ts';

export interface ListedAgent {
  readonly name: string;
  readonly supports_acp: boolean | null;
  /** None: the catalogue knows how to start it. */
  readonly install_path: string | null;
}

export async function listAgent(db: Db, agent: ListedAgent): Promise<void> {
  await db`
    INSERT INTO available_agents (name, supports_acp, install_path, listed_by)
    VALUES (${agent.name}, ${agent.supports_acp}, ${agent.install_path}, 'longhaul')
    ON CONFLICT (name) DO UPDATE SET supports_acp = EXCLUDED.supports_acp, install_path = EXCLUDED.install_path
     WHERE available_agents.listed_by = 'longhaul'`;
}

export async function listAgents(db: Db): Promise<ListedAgent[]> {
  return [...(await db<ListedAgent[]>`SELECT name, supports_acp, install_path FROM available_agents ORDER BY name`)];
}
