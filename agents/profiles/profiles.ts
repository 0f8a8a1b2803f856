/**
 * Combines the agent profiles of the catalogue and of the settings file; those of the settings file have precedence.
 * The file is read again after it has changed, so an edit needs no restart.
 */
import { readFileSync, renameSync, statSync, writeFileSync } from 'node:fs';
import { applyEdits, modify } from 'jsonc-parser';
import { isErrno } from '../../contract/errors.ts';
import { type AgentProfile, BASE, CATALOG, knownProfile } from './catalog.ts';
import { derivedProfiles } from './derived.ts';
import { type AgentEntry, parseAgentSettings } from './settings-schema.ts';

export interface AgentProfiles {
  /** The names of all profiles, sorted. */
  names(): string[];
  /** Returns `undefined` if no profile has the name. */
  known(name: string): AgentProfile | undefined;
}

export const CATALOG_ONLY: AgentProfiles = { names: () => Object.keys(CATALOG).sort(), known: knownProfile };

/**
 * Returns the profile of an agent. An agent without a profile gets one that contains only its name and the default
 * values.
 */
export const profileIn = (profiles: AgentProfiles, name: string): AgentProfile =>
  profiles.known(name) ?? { ...BASE, name };

/**
 * Opens the profiles of the catalogue and of the settings file, which need not exist. Fails with `invalid_input` if the
 * file is not valid. If a later edit makes the file invalid, the profiles from its last valid content remain in use.
 */
export function openProfiles(file: string): AgentProfiles {
  let version = '';
  let derived: ReadonlyMap<string, AgentProfile> = new Map();
  const refresh = (): void => {
    const found = versionOf(file);
    if (found === version) return;
    derived = derivedProfiles(parseAgentSettings(readText(file), file));
    version = found;
  };
  refresh();
  const current = (): ReadonlyMap<string, AgentProfile> => {
    try {
      refresh();
    } catch {
      // `longhaul agents` and `longhaul doctor` report what is wrong.
    }
    return derived;
  };
  return {
    names: () => [...new Set([...Object.keys(CATALOG), ...current().keys()])].sort(),
    known: (name) => current().get(name) ?? knownProfile(name),
  };
}

/** Returns `profiles` with one more entry, which is not written to the file. Fails with `invalid_input`. */
export function withEntry(profiles: AgentProfiles, name: string, entry: AgentEntry): AgentProfiles {
  const text = JSON.stringify({ agents: { [name]: entry } });
  const profile = derivedProfiles(parseAgentSettings(text, `agent ${name}`)).get(name);
  return {
    names: () => [...new Set([...profiles.names(), name])].sort(),
    known: (one) => (one === name ? profile : profiles.known(one)),
  };
}

/** Writes an entry into the file, whose comments remain. Fails with `invalid_input` if the result is not valid. */
export function putAgentEntry(file: string, name: string, entry: AgentEntry): void {
  const before = readText(file);
  const formattingOptions = { insertSpaces: true, tabSize: 2 };
  const after = applyEdits(before, modify(before, ['agents', name], entry, { formattingOptions }));
  derivedProfiles(parseAgentSettings(after, file));
  const beside = `${file}.${process.pid}`;
  writeFileSync(beside, after.endsWith('\n') ? after : `${after}\n`, { mode: 0o600 });
  renameSync(beside, file);
}

function versionOf(file: string): string {
  const found = statSync(file, { throwIfNoEntry: false });
  return found ? `${found.ino} ${found.mtimeMs} ${found.size}` : '';
}

function readText(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return '{}\n';
    throw error;
  }
}
