/**
 * Rates how much a mode lets an agent do without asking. A rating by the agent itself takes precedence, then this table
 * of modes that were examined; any other mode is `moderate`. An unknown mode is never rated `safe`.
 */
import type { ModeRisk } from '../../contract/agent-snapshot.ts';

const RISKS: readonly ModeRisk[] = ['safe', 'moderate', 'dangerous', 'planning'];

/** Risks of modes by their name alone. Each of these names meant the same in every agent in which it was found. */
const OF_ANY: Readonly<Record<string, ModeRisk>> = {
  plan: 'planning',
  yolo: 'dangerous',
  bypassPermissions: 'dangerous',
  'danger-full-access': 'dangerous',
  'agent-full-access': 'dangerous',
};

/**
 * Risks of modes of one agent. `safe`: the agent asks before each edit and each command, or the agent changes nothing.
 */
const OF_AGENT: Readonly<Record<string, Readonly<Record<string, ModeRisk>>>> = {
  demo: { edit: 'moderate', look: 'safe' },
  native: { code: 'moderate', ask: 'safe' },
  codex: { 'read-only': 'safe', 'workspace-write': 'moderate', agent: 'moderate' },
  gemini: { default: 'safe', autoEdit: 'moderate', auto_edit: 'moderate' },
  claude: { default: 'safe', acceptEdits: 'moderate' },
};

/** Returns the risk of an agent's mode. `own` is the agent's own rating, or an empty text. */
export function modeRisk(agent: string, mode: string, own: string): ModeRisk {
  const said = RISKS.find((risk) => risk === own);
  if (said !== undefined) return said;
  const table = Object.hasOwn(OF_AGENT, agent) ? OF_AGENT[agent] : undefined;
  if (table && Object.hasOwn(table, mode)) return table[mode] ?? 'moderate';
  return (Object.hasOwn(OF_ANY, mode) ? OF_ANY[mode] : undefined) ?? 'moderate';
}
