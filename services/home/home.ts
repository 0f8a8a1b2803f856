/** The folders of a home, and the record of what runs in it (`run/state.json`). */
import { access, mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { LonghaulError, messageOf } from '../../contract/errors.ts';
import { writePassfile, withoutPassword, withPassword } from '../postgres/password.ts';
import { readRecord, writeJson } from './json-file.ts';
import { processIdentitySchema } from '../../processes/process-files.ts';
import { folderIdOf } from './lock.ts';
import { restrictHomeToOwner } from './private-folder.ts';

export interface HomePaths {
  readonly home: string;
  readonly logs: string;
  readonly run: string;
  readonly postgres: string;
  readonly temporal: string;
  /** The folder with one file for each turn that has an agent. */
  readonly slots: string;
  /** The folder with the journals of the native agent's sessions. */
  readonly nativeSessions: string;
  /** The file with agent settings: agents of the user, and changes to known ones. It need not exist. */
  readonly agentSettings: string;
  /** The file with the backend's bearer token. */
  readonly tokenFile: string;
  /**
   * The file with the token as a header line, for `curl -H @file`: arguments of a command are visible in the process
   * list.
   */
  readonly authHeaderFile: string;
  /** The file with the database's password, for PGPASSFILE. */
  readonly passfile: string;
  readonly stateFile: string;
  /** The folder with one file for each worker that drains. */
  readonly drains: string;
  /** The folder of the home's lock, which the supervisor holds. */
  readonly lock: string;
}

/** Returns the paths of a home. Creates and checks nothing. */
export function homePaths(home: string): HomePaths {
  return {
    home,
    logs: join(home, 'logs'),
    run: join(home, 'run'),
    postgres: join(home, 'postgres'),
    temporal: join(home, 'temporal'),
    slots: join(home, 'slots'),
    nativeSessions: join(home, 'native'),
    agentSettings: join(home, 'agents.json'),
    tokenFile: join(home, 'token'),
    authHeaderFile: join(home, 'auth-header'),
    passfile: join(home, 'pgpass'),
    stateFile: join(home, 'run', 'state.json'),
    drains: join(home, 'run', 'drains'),
    lock: join(home, 'run', 'supervisor.lock'),
  };
}

/** Creates the folders of a home and closes them to other users. Fails with `invalid_input`. */
export async function prepareHome(home: string): Promise<HomePaths> {
  const paths = homePaths(home);
  try {
    await mkdir(home, { recursive: true, mode: 0o700 });
    // The folders are closed to other users before anything is written into the home.
    await restrictHomeToOwner(home);
    for (const folder of [paths.logs, paths.run]) await mkdir(folder, { recursive: true, mode: 0o700 });
  } catch (error) {
    if (error instanceof LonghaulError) throw error;
    const why = messageOf(error);
    throw new LonghaulError(
      'invalid_input',
      `LONGHAUL_HOME ${home}: expected a folder that can be made and written, found: ${why}`,
    );
  }
  return paths;
}

export const PART_STATES = ['waiting', 'starting', 'ready', 'failed', 'stopped'] as const;

const url = z.string().refine((text) => URL.canParse(text));

/** The addresses of the services and the backend, which parts announce to each other and to commands. */
const facts = z.object({
  databaseUrl: url.optional(),
  temporalAddress: z.string().regex(/:\d+$/).optional(),
  temporalUiUrl: url.optional(),
  backendUrl: url.optional(),
});
export type ServiceAddresses = z.infer<typeof facts>;

const partRecord = z.object({
  name: z.string(),
  state: z.enum(PART_STATES),
  /** The process of the part. Null if the part does not run, or if it is a service of the user. */
  process: processIdentitySchema.nullable(),
  detail: z.string().nullable(),
  /** Number of failed starts in a row, since the part was last ready or a repair was requested. */
  failures: z.number(),
  /** True if a retry cannot succeed until the user changes something. */
  hopeless: z.boolean(),
  logFile: z.string(),
});
export type PartRecord = z.infer<typeof partRecord>;

const homeState = z.object({
  /**
   * Identifies the folder in which the record was written. In a copied home the record describes processes of the
   * original.
   */
  place: z.string().optional(),
  supervisor: processIdentitySchema,
  /**
   * Number of repair requests so far. A command that requests a repair compares this number to find out whether the
   * record is newer than its request.
   */
  repairs: z.number(),
  /** The fingerprint of the settings with which the supervisor was started. */
  settings: z.string().optional(),
  /** The version of the supervisor's program. Older versions did not record it. */
  version: z.string().optional(),
  facts,
  parts: z.array(partRecord),
});
export type HomeState = z.infer<typeof homeState>;

/**
 * Returns the record of the last supervisor. That supervisor and its parts may no longer run. Returns `undefined` if
 * the record is missing or damaged, or if the record came here with the copy of another home.
 */
export async function readState(paths: HomePaths): Promise<HomeState | undefined> {
  const state = await readRecord(paths.stateFile, homeState);
  if (!state || (state.place !== undefined && state.place !== (await folderIdOf(paths.run)))) return undefined;
  const { databaseUrl } = state.facts;
  if (databaseUrl === undefined) return state;
  return { ...state, facts: { ...state.facts, databaseUrl: await withPassword(paths.passfile, databaseUrl) } };
}

/** Writes the record without the password, because people attach the record to bug reports. */
export async function writeState(paths: HomePaths, state: HomeState): Promise<void> {
  const { databaseUrl } = state.facts;
  const here = { ...state, place: await folderIdOf(paths.run) };
  if (databaseUrl === undefined) return writeJson(paths.stateFile, here);
  await writePassfile(paths.passfile, databaseUrl);
  await writeJson(paths.stateFile, { ...here, facts: { ...state.facts, databaseUrl: withoutPassword(databaseUrl) } });
}

/** Returns the path if the file exists, otherwise null. */
export async function pathIfExists(file: string): Promise<string | null> {
  return access(file).then(
    () => file,
    () => null,
  );
}
