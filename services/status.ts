/** What runs in a home, checked against the process table: the record alone may be from before a crash. */
import { homePaths, readState, fileOrNull, type Facts, type HomePaths, type HomeState, type PartRecord } from './home.ts'; // prettier-ignore
import { drainingWorkers } from './drains.ts';
import { isAlive, isSuspended, type ProcessIdentity } from '../processes/identity.ts';
import { lockHolder } from './lock.ts';
import type { Settings } from './settings.ts';

/** Printed by `longhaul status --json`; other programs rely on these names. */
export interface Status {
  readonly database_url: string | null;
  readonly temporal_address: string | null;
  readonly temporal_ui_url: string | null;
  readonly backend_url: string | null;
  readonly home: string;
  readonly token_file: string | null;
  /** The token as a header line: `curl -H @FILE`. */
  readonly auth_header_file: string | null;
  /** Holds the password of `database_url`, for PGPASSFILE. */
  readonly pgpass_file: string | null;
  readonly parts: readonly PartStatus[];
}

export interface PartStatus {
  readonly name: string;
  readonly state: PartRecord['state'] | 'draining';
  readonly pid: number | null;
  readonly detail: string | null;
}

const SUSPENDED = 'suspended by a signal; `longhaul up -d` continues it';
const DRAINS = 'begins no turns; the next worker starts once the last of its turns is over';
const NAMES = ['postgres', 'temporal', 'worker', 'backend'];

export async function readStatus(settings: Settings): Promise<Status> {
  const paths = homePaths(settings.home);
  const state = await readState(paths);
  const supervisor = await liveSupervisor(paths, state);
  const records =
    state?.parts ?? NAMES.map((name) => ({ name, state: 'stopped' as const, process: null, detail: null }));
  const draining = await drainingWorkers(paths);
  const parts = records.map((record) => partStatus(record, { supervised: supervisor !== undefined, draining }));
  const facts = factsThatHold(settings, state);
  return {
    database_url: facts.databaseUrl ?? null,
    temporal_address: facts.temporalAddress ?? null,
    temporal_ui_url: facts.temporalUiUrl ?? null,
    backend_url: facts.backendUrl ?? null,
    home: settings.home,
    token_file: await fileOrNull(settings.tokenFile ?? paths.tokenFile),
    auth_header_file: await fileOrNull(paths.authHeaderFile),
    pgpass_file: await fileOrNull(paths.passfile),
    parts: [supervisorStatus(supervisor), ...parts],
  };
}

/** The supervisor that holds the home and has written its record. */
export async function liveSupervisor(
  paths: HomePaths,
  state: HomeState | undefined,
): Promise<ProcessIdentity | undefined> {
  const holder = await lockHolder(paths.lock);
  return holder && state?.supervisor.pid === holder.pid && state.supervisor.startTime === holder.startTime
    ? holder
    : undefined;
}

/** Where things are: what was recorded, or else what the settings say about services that are not ours. */
export function factsThatHold(settings: Settings, state: HomeState | undefined): Facts {
  return {
    ...(settings.databaseUrl === undefined ? {} : { databaseUrl: settings.databaseUrl }),
    ...(settings.temporal.kind === 'server' ? { temporalAddress: settings.temporal.address } : {}),
    ...state?.facts,
  };
}

function supervisorStatus(supervisor: ProcessIdentity | undefined): PartStatus {
  const name = 'supervisor';
  if (!supervisor) return { name, state: 'stopped', pid: null, detail: null };
  if (isSuspended(supervisor)) return { name, state: 'failed', pid: supervisor.pid, detail: SUSPENDED };
  return { name, state: 'ready', pid: supervisor.pid, detail: null };
}

function partStatus(
  record: Pick<PartRecord, 'name' | 'state' | 'process' | 'detail'>,
  { supervised, draining }: { readonly supervised: boolean; readonly draining: readonly ProcessIdentity[] },
): PartStatus {
  const { name, state, process, detail } = record;
  if (process && isSuspended(process)) return { name, state: 'failed', pid: process.pid, detail: SUSPENDED };
  if (process && draining.some(({ pid }) => pid === process.pid))
    return { name, state: 'draining', pid: process.pid, detail: DRAINS };
  if (process && isAlive(process)) return { name, state, pid: process.pid, detail };
  // Nobody is going to start it, whatever was written last.
  if (!supervised) return { name, state: 'stopped', pid: null, detail: null };
  // It ended a moment ago and the supervisor has not noticed yet.
  return { name, state: process && state === 'ready' ? 'waiting' : state, pid: null, detail };
}
