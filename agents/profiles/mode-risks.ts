/**
 * How much a mode lets an agent do without asking. The agent's own word counts, then this table of the modes that were
 * looked at, else a mode is moderate. No mode is safe because nothing is known of it.
 */
import type { ModeRisk } from '../../contract/agent-snapshot.ts';

const RISKS: readonly ModeRisk[] = ['safe', 'moderate', 'dangerous', 'planning'];

/** Of any agent: these names mean the same wherever they were seen. */
const OF_ANY: Readonly<Record<string, ModeRisk>> = {
  plan: 'planning',
  yolo: 'dangerous',
  bypassPermissions: 'dangerous',
  'danger-full-access': 'dangerous',
  'agent-full-access': 'dangerous',
};

/** Safe: it asks before each edit and each command, or it changes nothing. */
const OF_AGENT: Readonly<Record<string, Readonly<Record<string, ModeRisk>>>> = {
  demo: { edit: 'moderate', look: 'safe' },
  native: { code: 'moderate', ask: 'safe' },
  codex: { 'read-only': 'safe', 'workspace-write': 'moderate', agent: 'moderate' },
  gemini: { default: 'safe', autoEdit: 'moderate', auto_edit: 'moderate' },
  claude: { default: 'safe', acceptEdits: 'moderate' },
};

export function modeRisk(agent: string, mode: string, own: string): ModeRisk {
  const said = RISKS.find((risk) => risk === own);
  if (said !== undefined) return said;
  const table = Object.hasOwn(OF_AGENT, agent) ? OF_AGENT[agent] : undefined;
  if (table && Object.hasOwn(table, mode)) return table[mode] ?? 'moderate';
  return (Object.hasOwn(OF_ANY, mode) ? OF_ANY[mode] : undefined) ?? 'moderate';
}
