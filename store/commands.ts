/** The commands that a session's agent offers. */
import type { SessionId } from '../contract/ids.ts';
import type { AgentCommand } from '../contract/vocabulary.ts';
import type { Db } from './sql.ts';

/** As its newest frame says; none: no agent has reported any. */
export async function newestCommands(db: Db, sessionId: SessionId): Promise<readonly AgentCommand[]> {
  const [newest] = await db<{ body: { commands?: AgentCommand[] } }[]>`
    SELECT body FROM frames WHERE session_id = ${sessionId} AND type = 'agent_commands' ORDER BY seq DESC LIMIT 1`;
  return newest?.body.commands ?? [];
}
