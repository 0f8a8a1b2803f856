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
  /** The names of the agents that this call added to the list. */
  readonly listed: readonly string[];
  /**
   * The names of the agents that this call removed from the list. A worker had listed them, and their programs no
   * longer exist.
   */
  readonly unlisted: readonly string[];
}

/**
 * Lists the agents of the catalogue and of the settings file whose programs are on `path`. A worker calls this function
 * when it starts, and `longhaul agents` at each call.
 */
export async function listFoundAgents(
  db: Db,
  path: string | undefined,
  profiles: AgentProfiles = CATALOG_ONLY,
): Promise<FoundAgents> {
  const listed: string[] = [];
  const unlisted: string[] = [];
  const rows = await listAgents(db);
  // The row of an agent may remain after its entry was removed from the settings file.
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

/** One agent, as `longhaul agents --json` prints it. */
export interface AgentInfo {
  readonly name: string;
  /** `native`: Longhaul's own agent over a model API. Every task can name it, and no list contains it. */
  readonly talks: 'acp' | 'terminal' | 'native';
  /**
   * Absolute path of the program as the worker finds it. Null if the worker does not find it, and for the native agent.
   */
  readonly program: string | null;
  /** The path at which this shell finds the program. Null if the worker finds the program, or if neither finds it. */
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
   * For an agent of the catalogue: what to install. For the native agent without a model: which settings are missing.
   */
  readonly install_hint: string | null;
  /** A description of the native agent's model, or null if it has none. Absent for other agents. */
  readonly model?: string | null;
}

export interface SearchPaths {
  /** The PATH of the running worker. Undefined if no worker runs. */
  readonly worker: string | undefined;
  readonly shell: string | undefined;
  /**
   * The environment in which the native agent and a program to be added are started: that of the worker, or of the
   * shell if no worker runs.
   */
  readonly environment: NodeJS.ProcessEnv;
  /** The path of the file with agent settings. If it is omitted, only the catalogue is used. */
  readonly settingsFile?: string;
}

/** Returns the agent profiles. Fails with `invalid_input` if the settings file is not valid. */
export const profilesOf = ({ settingsFile }: Pick<SearchPaths, 'settingsFile'>): AgentProfiles =>
  settingsFile === undefined ? CATALOG_ONLY : openProfiles(settingsFile);

/** Describes the known and the listed agents, from the rows of the database. */
export async function surveyAgents(sql: Sql, paths: SearchPaths): Promise<AgentInfo[]> {
  const [rows, removed] = await Promise.all([listAgents(sql), unlistedAgents(sql)]);
  return describeAgents(rows, removed, paths);
}

/**
 * Describes the known and the listed agents, sorted by name. If `rows` is empty, the result still says which are
 * installed.
 */
export function describeAgents(rows: readonly AgentRow[], removed: readonly string[], paths: SearchPaths): AgentInfo[] {
  const profiles = profilesOf(paths);
  const names = new Set([...profiles.names(), ...rows.map((row) => row.name)]);
  names.delete(NATIVE_AGENT); // Longhaul never uses a row with this name, which another program may have written.
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
