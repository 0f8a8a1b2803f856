/** Reads the commands that an agent offers. */
import type { ProjectId } from '../contract/ids.ts';
import type { AgentCommand } from '../contract/vocabulary.ts';
import type { Db } from './sql.ts';

/**
 * Parses a JSON column with commands. Elements without a `name` are omitted, because any program may write any JSON to
 * a row.
 */
export function commandsIn(value: unknown): AgentCommand[] {
  if (!Array.isArray(value)) return [];
  return value.flatMap((one: unknown) => {
    if (typeof one !== 'object' || one === null || !('name' in one) || typeof one.name !== 'string') return [];
    const description = 'description' in one && typeof one.description === 'string' ? one.description : '';
    return [{ ...one, name: one.name, description }];
  });
}

/**
 * Returns the commands that the newest probe of the agent found, preferably one in the project's folder. Empty if no
 * probe has found any.
 */
export async function offeredCommands(
  db: Db,
  { agent, projectId }: { agent: string; projectId: ProjectId | null },
): Promise<readonly AgentCommand[]> {
  const [row] = await db<{ commands: unknown }[]>`
    SELECT offer -> 'commands' AS commands FROM agent_snapshots
     WHERE agent = ${agent} AND offer IS NOT NULL AND (project_id = ${projectId} OR project_id IS NULL)
     ORDER BY project_id NULLS LAST LIMIT 1`;
  return commandsIn(row?.commands).map(({ name, description, argument_hint: hint }) => ({
    name,
    description,
    ...(typeof hint === 'string' ? { argument_hint: hint } : {}),
  }));
}
