/** Finds the agents that a task may name, and the default agent of a task that names none. */
import { listAgents } from '../store/available-agents.ts';
import type { Db } from '../store/sql.ts';
import { LonghaulError } from '../contract/errors.ts';
import { NATIVE_AGENT } from '../contract/names.ts';

/** The demo agent is never the default, because it has no model. */
const DEMO = 'demo';

export async function agentNames(db: Db): Promise<string[]> {
  return (await listAgents(db)).map((agent) => agent.name);
}

/**
 * The facts about the native agent that an error message needs. No row of `available_agents` has them, so the caller
 * passes them.
 */
export interface NativeChoice {
  readonly isConfigured: boolean;
  /** The name of the native agent's model. If the native agent has no model, the setting that the user must set. */
  readonly text: string;
}

/**
 * Returns the name of the only listed agent besides the demo. Returns `undefined` for the native agent, if no other
 * agent is listed and the native agent has a model. Fails with `invalid_input`, which names the choices, if there are
 * several or none.
 */
export async function onlyAgent(db: Db, native: NativeChoice): Promise<string | undefined> {
  const names = await agentNames(db);
  const [only, second] = names.filter((name) => name !== DEMO);
  if (only === undefined && native.isConfigured) return undefined;
  if (only !== undefined && second === undefined) return only;
  if (names.length === 0) {
    throw new LonghaulError(
      'invalid_input',
      'No agent is listed in available_agents: is the worker up (longhaul status)?',
    );
  }
  const choice = [...names.map((name) => `--agent ${name}`), ...(native.isConfigured ? [`--agent ${NATIVE_AGENT} (${native.text})`] : [])]; // prettier-ignore
  const demo = names.includes(DEMO) ? ' The demo agent has no model behind it; it shows how everything works.' : '';
  const without = native.isConfigured ? '' : ` The native agent has no model: ${native.text}.`;
  const hint = only === undefined ? ' `longhaul agents` shows how to get others.' : '';
  throw new LonghaulError('invalid_input', `Say which agent is to work: ${choice.join(', ')}.${demo}${without}${hint}`);
}
