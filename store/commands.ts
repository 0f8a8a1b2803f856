/** The commands that a session's agent offers. */
import type { SessionId } from '../contract/ids.ts';
import type { AgentCommand } from '../contract/vocabulary.ts';
import type { Db } from './sql.ts';

/** Without elements that have no `name`: any program may write any JSON into a frame. */
export function commandsIn(value: unknown): AgentCommand[] {
  if (!Array.isArray(value)) return [];
  return value.flatMap((one: unknown) => {
    if (typeof one !== 'object' || one === null || !('name' in one) || typeof one.name !== 'string') return [];
    const description = 'description' in one && typeof one.description === 'string' ? one.description : '';
    return [{ ...one, name: one.name, description }];
  });
}

/** As its newest frame says; none: no agent has reported any. */
export async function newestCommands(db: Db, sessionId: SessionId): Promise<readonly AgentCommand[]> {
  const [newest] = await db<{ commands: unknown }[]>`
    SELECT body -> 'commands' AS commands FROM frames
     WHERE session_id = ${sessionId} AND type = 'agent_commands' ORDER BY seq DESC LIMIT 1`;
  return commandsIn(newest?.commands);
}
