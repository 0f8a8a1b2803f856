/**
 * Makes agent profiles from the entries of the settings file. An entry extends an agent of the catalogue, a
 * command-line agent that the terminal adapter knows, or another entry. An entry without `extends` describes an agent
 * of its own.
 */
import type { AcpProgram, AgentProfile } from './catalog.ts';
import { BASE, CATALOG, knownProfile } from './catalog.ts';
import { isKnownTerminal, terminalProfile } from '../terminal/profiles/known.ts';
import type { AgentEntry, AgentSettings } from './settings-schema.ts';

/**
 * Returns the profiles by name. Fails with `invalid_input` if an entry extends an unknown agent, or extends itself,
 * directly or through other entries.
 */
export function derivedProfiles(settings: AgentSettings): ReadonlyMap<string, AgentProfile> {
  const profiles = new Map<string, AgentProfile>();
  for (const name of Object.keys(settings.agents)) profiles.set(name, derive(settings, name, []));
  return profiles;
}

/** Makes the profile of one entry. `chain` has the names of the entries that extend this one. */
function derive(settings: AgentSettings, name: string, chain: readonly string[]): AgentProfile {
  const entry = settings.agents[name] ?? {};
  const parent = parentOf(settings, { name, entry, chain });
  const inTerminal = entry.terminal ?? (parent === undefined ? false : parent.acp === undefined);
  return {
    ...(parent ?? BASE),
    name,
    base: parent?.base ?? parent?.name ?? name,
    envKeys: [...(parent?.envKeys ?? []), ...(entry.env_keys ?? [])],
    env: { ...parent?.env, ...entry.env },
    ...(entry.label !== undefined && { label: entry.label }),
    ...(entry.models && { models: entry.models.map((one) => (typeof one === 'string' ? { id: one, label: one } : { id: one.id, label: one.label ?? one.id })) }), // prettier-ignore
    ...programOf(entry, { name, parent, inTerminal }),
  };
}

interface Derived {
  readonly name: string;
  readonly parent: AgentProfile | undefined;
  readonly inTerminal: boolean;
}

/**
 * Returns how to start the program. An entry either speaks ACP or runs in a terminal, so exactly one of the two fields
 * has a value.
 */
function programOf(entry: AgentEntry, { name, parent, inTerminal }: Derived): Pick<AgentProfile, 'acp' | 'terminal'> {
  if (inTerminal) {
    const usual = terminalProfile(parent?.terminal?.profile ?? parent?.base ?? parent?.name ?? name);
    const command = entry.command ?? parent?.terminal?.command ?? (parent ? usual.command : name);
    const args = entry.args ?? parent?.terminal?.args ?? [];
    return { acp: undefined, terminal: { profile: usual.name, command, args } };
  }
  const { installHint, ...usual }: Partial<AcpProgram> = parent?.acp ?? {};
  const acp: AcpProgram = {
    command: entry.command ?? usual.command ?? name,
    args: entry.args ?? usual.args ?? [],
    offersFileSystem: usual.offersFileSystem ?? true,
    // The install hint is kept only if the entry runs the parent's program, because the hint installs that program.
    ...(installHint !== undefined && entry.command === undefined && { installHint }),
  };
  return { acp, terminal: undefined };
}

function parentOf(
  settings: AgentSettings,
  { name, entry, chain }: { name: string; entry: AgentEntry; chain: readonly string[] },
): AgentProfile | undefined {
  const { extends: parent } = entry;
  if (parent === undefined) return undefined;
  // An entry with the name of a known agent may extend that agent.
  const isEntry = parent !== name && Object.hasOwn(settings.agents, parent);
  if (isEntry && [...chain, name].includes(parent)) {
    const way = [...chain.slice(chain.indexOf(parent)), name, parent].join(' → ');
    throw settings.error(['agents', name, 'extends'], `expected an agent that does not extend this one, found ${way}`);
  }
  if (isEntry) return derive(settings, parent, [...chain, name]);
  const known = knownProfile(parent) ?? (isKnownTerminal(parent) ? { ...BASE, name: parent } : undefined);
  if (known) return known;
  const names = [...new Set([...Object.keys(CATALOG), ...Object.keys(settings.agents)])].filter((one) => one !== name);
  throw settings.error(
    ['agents', name, 'extends'],
    `expected a known agent (${names.sort().join(', ')}), found ${JSON.stringify(parent)}`,
  );
}
