/**
 * Describes the known agents (those of the catalogue and those that `available_agents` lists), finds which are
 * installed, and adds agents to the list or removes them.
 */
import type { AgentProfile } from '../agents/profiles/catalog.ts';
import { type AgentProfiles, CATALOG_ONLY, openProfiles } from '../agents/profiles/profiles.ts';
import { configuredModel, modelText } from '../agents/native/configured-model.ts';
import type { NativeChoice } from '../client/agents.ts';
import { findCommand } from '../agents/process/find-command.ts';
import { terminalProfile } from '../agents/terminal/profiles/known.ts';
import {
  type AgentRow,
  listAgent,
  listAgents,
  unlistAgent,
  unlistedAgents,
  unlistMissing,
} from '../store/available-agents.ts';
import type { Db, Sql } from '../store/sql.ts';
import { LonghaulError } from '../contract/errors.ts';
import { NATIVE_AGENT } from '../contract/names.ts';
import { shortId } from '../contract/ids.ts';

const SHOWN_TASKS = 5;

export interface FoundAgents {
  /** Names that this call added to the list. */
  readonly listed: readonly string[];
  /** Names that this call removed from the list: a worker had listed them, and their programs no longer exist. */
  readonly unlisted: readonly string[];
}

/**
 * Lists the agents of the catalogue and of the settings file whose programs are on `path`. A worker calls it when it
 * starts, and `longhaul agents` on request.
 */
export async function listFoundAgents(
  db: Db,
  path: string | undefined,
  profiles: AgentProfiles = CATALOG_ONLY,
): Promise<FoundAgents> {
  const listed: string[] = [];
  const unlisted: string[] = [];
  const rows = await listAgents(db);
  // An entry that was removed from the settings file may have left a row.
  const names = new Set([
    ...profiles.names(),
    ...rows.flatMap((row) => (row.listed_by === 'longhaul' ? [row.name] : [])),
  ]);
  for (const name of names) {
    const { acp, terminal }: Partial<AgentProfile> = profiles.known(name) ?? {};
    const command = (acp ?? terminal)?.command;
    const found = command !== undefined && findCommand(command, path) !== undefined;
    if (found && (await listAgent(db, { name, supports_acp: acp !== undefined }))) listed.push(name);
    if (!found && (await unlistMissing(db, name))) unlisted.push(name);
  }
  return { listed, unlisted };
}

interface ProgramHint {
  readonly command: string;
  readonly installHint?: string;
}

/** Printed by `longhaul agents --json`. */
export interface AgentInfo {
  readonly name: string;
  /** `native`: Longhaul's own agent over a model API. Every task can name it, and no list contains it. */
  readonly talks: 'acp' | 'terminal' | 'native';
  /**
   * Absolute path of the program as the worker finds it. Null if the worker does not find it, and for the native agent.
   */
  readonly program: string | null;
  /** The path at which this shell finds the program; null if the worker finds it or neither does. */
  readonly program_here: string | null;
  readonly listed: boolean;
  /**
   * `longhaul` if a worker found and listed the agent, `user` if `longhaul agents add` listed it. Null if another
   * program listed it, or if it is not listed.
   */
  readonly listed_by: string | null;
  /** Whether a user removed the agent from the list. */
  readonly removed: boolean;
  /**
   * What to install, for an agent of the catalogue. Which settings are missing, for the native agent without a model.
   */
  readonly install_hint: string | null;
  /** A description of the native agent's model, or null if it has none. Absent for other agents. */
  readonly model?: string | null;
}

export interface SearchPaths {
  /** PATH of the running worker; undefined if no worker runs. */
  readonly worker: string | undefined;
  readonly shell: string | undefined;
  /**
   * The environment in which the native agent and a program to be added are started: that of the worker, or of the
   * shell if no worker runs.
   */
  readonly environment: NodeJS.ProcessEnv;
  /** The file with agent settings. Undefined: only the catalogue counts. */
  readonly settingsFile?: string;
}

/** Fails with `invalid_input` if the settings file is not valid. */
export const profilesOf = ({ settingsFile }: Pick<SearchPaths, 'settingsFile'>): AgentProfiles =>
  settingsFile === undefined ? CATALOG_ONLY : openProfiles(settingsFile);

export async function surveyAgents(sql: Sql, paths: SearchPaths): Promise<AgentInfo[]> {
  const [rows, removed] = await Promise.all([listAgents(sql), unlistedAgents(sql)]);
  return describeAgents(rows, removed, paths);
}

/**
 * Describes the agents of the catalogue and the listed ones, sorted by name. If `rows` is empty, the result still shows
 * which are installed.
 */
export function describeAgents(rows: readonly AgentRow[], removed: readonly string[], paths: SearchPaths): AgentInfo[] {
  const profiles = profilesOf(paths);
  const names = new Set([...profiles.names(), ...rows.map((row) => row.name)]);
  names.delete(NATIVE_AGENT); // a row of another program with this name is never used
  const others = [...names].sort().map((name): AgentInfo => {
    const known = profiles.known(name);
    const row = rows.find((candidate) => candidate.name === name);
    const acp = row ? row.supports_acp === true : known?.acp !== undefined;
    const usual: ProgramHint | undefined = acp ? known?.acp : (known?.terminal ?? terminalProfile(name));
    const command = row?.install_path || usual?.command || name;
    const program = findCommand(command, paths.worker ?? paths.shell) ?? null;
    return {
      name,
      talks: acp ? 'acp' : 'terminal',
      program,
      program_here: program === null ? (findCommand(command, paths.shell) ?? null) : null,
      listed: row !== undefined,
      listed_by: row?.listed_by ?? null,
      removed: !row && removed.includes(name),
      install_hint: usual?.installHint ?? null,
    };
  });
  return [...others, nativeAgent(paths.environment)];
}

/** Describes the native agent for a message that lists the agents to choose from. */
export function nativeChoice(env: NodeJS.ProcessEnv): NativeChoice {
  const found = configuredModel(env);
  return { isConfigured: found.isConfigured, text: found.hint ?? modelText(found) };
}

function nativeAgent(env: NodeJS.ProcessEnv): AgentInfo {
  const found = configuredModel(env);
  return {
    name: NATIVE_AGENT,
    talks: 'native',
    program: null,
    program_here: null,
    listed: false,
    listed_by: null,
    removed: false,
    install_hint: found.hint ?? null,
    model: found.isConfigured ? modelText(found) : null,
  };
}

/** Removes an agent from the list. Fails with `invalid_input` if it is not listed, or while open tasks name it. */
export async function removeAgent(sql: Sql, name: string): Promise<AgentRow> {
  const gone = await sql.begin((tx) => unlistAgent(tx, name));
  switch (gone.kind) {
    case 'removed':
      return gone.row;
    case 'not_listed': {
      const names = (await listAgents(sql)).map((row) => row.name).join(', ') || 'none';
      throw invalid(`${name} is not listed. Listed: ${names}.`);
    }
    case 'in_use': {
      const ids = gone.tasks.slice(0, SHOWN_TASKS).map((id) => shortId(id));
      const more = gone.tasks.length > ids.length ? ` and ${gone.tasks.length - ids.length} more` : '';
      throw invalid(
        `${name} has open tasks: ${ids.join(', ')}${more}. Wait for their end, or \`longhaul cancel\` them.`,
      );
    }
  }
}

const invalid = (message: string): LonghaulError => new LonghaulError('invalid_input', message);
