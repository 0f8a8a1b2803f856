/** The agents that tasks may name, and the default of a task that names none. */
import { listAgents } from '../store/available-agents.ts';
import type { Db } from '../store/sql.ts';
import { LonghaulError } from '../contract/errors.ts';
import { NATIVE_AGENT } from '../contract/names.ts';

/** The demo agent has no model: it is never the default. */
const DEMO = 'demo';

export async function agentNames(db: Db): Promise<string[]> {
  return (await listAgents(db)).map((agent) => agent.name);
}

/** What a message says of the native agent, which is in no row: whether it has a model, and how it gets one. */
export interface NativeChoice {
  readonly isConfigured: boolean;
  /** Its model, or what to set. */
  readonly text: string;
}

/**
 * The one agent that is listed besides the demo. `undefined` means the native agent: there is no other, and it has a
 * model. Fails with `invalid_input`, which names the choices.
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
