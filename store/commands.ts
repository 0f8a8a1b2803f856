/** The commands that a session's agent offers. */
import type { SessionId } from '../contract/ids.ts';
import type { AgentCommand } from '../contract/vocabulary.ts';
import type { Db } from './sql.ts';

/** As its newest frame says; none: no agent has reported any. */
export async function newestCommands(db: Db, sessionId: SessionId): Promise<readonly AgentCommand[]> {
  const [newest] = await db<{ commands: unknown }[]>`
    SELECT body -> 'commands' AS commands FROM frames
     WHERE session_id = ${sessionId} AND type = 'agent_commands' ORDER BY seq DESC LIMIT 1`;
  // Elements that another program wrote are checked where they are read (frames/message-json.ts).
  return Array.isArray(newest?.commands) ? (newest.commands as AgentCommand[]) : [];
}
