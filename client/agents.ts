/** The agents that tasks may name, and the default of a task that names none. */
import { listAgents } from '../store/available-agents.ts';
import type { Db } from '../store/sql.ts';
import { LonghaulError } from '../contract/errors.ts';

/** The demo agent has no model: it is never the default. */
const DEMO = 'demo';
/** For a command line, which cannot name no agent. */
export const NATIVE = 'native';

export async function agentNames(db: Db): Promise<string[]> {
  return (await listAgents(db)).map((agent) => agent.name);
}

/**
 * The one agent that is listed besides the demo. `undefined` means the native agent: there is no other, and it has a
 * model. Fails with `invalid_input`, which names the choices.
 */
export async function onlyAgent(db: Db, hasModel: boolean): Promise<string | undefined> {
  const names = await agentNames(db);
  const [only, second] = names.filter((name) => name !== DEMO);
  if (only === undefined && hasModel) return undefined;
  if (only !== undefined && second === undefined) return only;
  if (names.length === 0) {
    throw new LonghaulError(
      'invalid_input',
      'No agent is listed in available_agents: is the worker up (longhaul status)?',
    );
  }
  const choice = [...names, ...(hasModel ? [NATIVE] : [])].map((name) => `--agent ${name}`).join(', ');
  const demo = names.includes(DEMO) ? ' The demo agent has no model behind it; it shows how everything works.' : '';
  const hint = only === undefined ? `${demo} \`longhaul agents\` shows how to get others.` : demo;
  throw new LonghaulError('invalid_input', `Say which agent is to work: ${choice}.${hint}`);
}
