/** Agents that this installation offers. */
import type { Db } from './sql.ts';

export interface ListedAgent {
  readonly name: string;
  readonly supports_acp: boolean | null;
  readonly install_path: string | null;
}

export async function listAgents(db: Db): Promise<ListedAgent[]> {
  return [...(await db<ListedAgent[]>`SELECT name, supports_acp, install_path FROM available_agents ORDER BY name`)];
}
