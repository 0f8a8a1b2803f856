/** The folders of a home, and the one record of what runs in it. */
import { access, mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { LonghaulError } from '../workflows/errors.ts';
import { keepPassword, withoutPassword, withPassword } from './database-password.ts';
import { readJson, writeJson } from './json-file.ts';
import { processIdentity } from './lock.ts';
import { closeHome } from './private-folder.ts';

export interface HomePaths {
  readonly home: string;
  readonly logs: string;
  readonly run: string;
  readonly postgres: string;
  readonly temporal: string;
  /** One file for each turn that has an agent. */
  readonly slots: string;
  /** Bearer token of the backend. */
  readonly tokenFile: string;
  /** The token as a header line, for `curl -H @file`: a token in an argument is in the process list. */
  readonly authHeaderFile: string;
  /** The database's password, for PGPASSFILE. */
  readonly passfile: string;
  readonly stateFile: string;
  /** One file for each worker that drains. */
  readonly drains: string;
  /** Held by the supervisor. */
  readonly lock: string;
}

export function homePaths(home: string): HomePaths {
  return {
    home,
    logs: join(home, 'logs'),
    run: join(home, 'run'),
    postgres: join(home, 'postgres'),
    temporal: join(home, 'temporal'),
    slots: join(home, 'slots'),
    tokenFile: join(home, 'token'),
    authHeaderFile: join(home, 'auth-header'),
    passfile: join(home, 'pgpass'),
    stateFile: join(home, 'run', 'state.json'),
    drains: join(home, 'run', 'drains'),
    lock: join(home, 'run', 'supervisor.lock'),
  };
}

export async function prepareHome(home: string): Promise<HomePaths> {
  const paths = homePaths(home);
  try {
    await mkdir(home, { recursive: true, mode: 0o700 });
    // Before anything is written into it.
    await closeHome(home);
    for (const folder of [paths.logs, paths.run]) await mkdir(folder, { recursive: true, mode: 0o700 });
  } catch (error) {
    if (error instanceof LonghaulError) throw error;
    const why = error instanceof Error ? error.message : String(error);
    throw new LonghaulError(
      'invalid_input',
      `LONGHAUL_HOME ${home}: expected a folder that can be made and written, found: ${why}`,
    );
  }
  return paths;
}

export const PART_STATES = ['waiting', 'starting', 'ready', 'failed', 'stopped'] as const;

/** What parts tell each other and the command line. */
const facts = z.object({
  databaseUrl: z.string().optional(),
  temporalAddress: z.string().optional(),
  temporalUiUrl: z.string().optional(),
  backendUrl: z.string().optional(),
});
export type Facts = z.infer<typeof facts>;

const partRecord = z.object({
  name: z.string(),
  state: z.enum(PART_STATES),
  /** Null: not running, or a service that is not ours. */
  process: processIdentity.nullable(),
  detail: z.string().nullable(),
  /** Starts that failed one after the other since it was last ready or somebody asked for a repair. */
  failures: z.number(),
  /** Trying again is of no use: a person has to change something. */
  hopeless: z.boolean(),
  logFile: z.string(),
});
export type PartRecord = z.infer<typeof partRecord>;

const homeState = z.object({
  supervisor: processIdentity,
  /** Grows with every request to repair: who asked can tell news from what was written before. */
  repairs: z.number(),
  /** Of the settings that it was started with; two that are equal are the same settings. */
  settings: z.string().optional(),
  facts,
  parts: z.array(partRecord),
});
export type HomeState = z.infer<typeof homeState>;

/** What the last supervisor wrote; it may be gone, and so may its parts. */
export async function readState(paths: HomePaths): Promise<HomeState | undefined> {
  const value = await readJson(paths.stateFile);
  if (value === undefined) return undefined;
  const state = homeState.parse(value);
  const { databaseUrl } = state.facts;
  if (databaseUrl === undefined) return state;
  return { ...state, facts: { ...state.facts, databaseUrl: await withPassword(paths.passfile, databaseUrl) } };
}

/** The record itself holds no password: it is what a person attaches to a bug report. */
export async function writeState(paths: HomePaths, state: HomeState): Promise<void> {
  const { databaseUrl } = state.facts;
  if (databaseUrl === undefined) return writeJson(paths.stateFile, state);
  await keepPassword(paths.passfile, databaseUrl);
  await writeJson(paths.stateFile, { ...state, facts: { ...state.facts, databaseUrl: withoutPassword(databaseUrl) } });
}

/** The path, if there is such a file. */
export async function fileOrNull(file: string): Promise<string | null> {
  return access(file).then(
    () => file,
    () => null,
  );
}
