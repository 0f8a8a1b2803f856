/**
 * The status of a home's parts. The record is checked against the process table, because it may have been written
 * before a crash.
 */
import { homePaths, readState, pathIfExists, type ServiceAddresses, type HomePaths, type HomeState, type PartRecord } from './home/home.ts'; // prettier-ignore
import { isSameDatabase, passwordOf, withoutPassword } from './postgres/password.ts';
import { drainingWorkers } from './home/drains.ts';
import { buildVersion } from '../processes/package-version.ts';
import { isAlive, isSuspended, type ProcessIdentity } from '../processes/identity.ts';
import { parseJsonOrUndefined } from './home/json-file.ts';
import { lockHolderWithRole } from './home/lock.ts';
import type { FoundPart } from './supervisor/part.ts';
import { partsToFind } from './supervisor/parts.ts';
import { UNRECORDED_VERSION } from './supervisor/program-part.ts';
import type { Settings } from './settings.ts';

/** The document that `longhaul status --json` prints. Other programs depend on its names. */
export interface Status {
  readonly database_url: string | null;
  readonly temporal_address: string | null;
  readonly temporal_ui_url: string | null;
  readonly backend_url: string | null;
  readonly home: string;
  /** The version of the command that reads the status. */
  readonly version: string;
  readonly token_file: string | null;
  /** The file that contains the token as a header line: `curl -H @FILE`. */
  readonly auth_header_file: string | null;
  /** The file with the password of `database_url`, for PGPASSFILE. */
  readonly pgpass_file: string | null;
  readonly parts: readonly PartStatus[];
}

export interface PartStatus {
  readonly name: string;
  readonly state: PartRecord['state'] | 'draining';
  readonly pid: number | null;
  readonly detail: string | null;
  /**
   * The version of the running program, if that program is part of Longhaul. `null`: the program does not run, is not
   * part of Longhaul, or the part's record is lost.
   */
  readonly version: string | null;
}

const SUSPENDED = 'suspended by a signal; `longhaul up -d` continues it';
const DRAINS = 'begins no turns; the next worker starts once the last of its turns is over';
const NAMES = ['postgres', 'temporal', 'worker', 'backend'];

/** Reads the status of all parts of the home and of the supervisor. Changes nothing. */
export async function readStatus(settings: Settings): Promise<Status> {
  const paths = homePaths(settings.home);
  const state = await readState(paths);
  const supervisor = await liveSupervisor(paths, state);
  const draining = await drainingWorkers(paths);
  const found = await findParts(settings, paths);
  const parts = NAMES.map((name) => {
    const record = recordThatHolds(
      state?.parts.find((part) => part.name === name),
      found.get(name),
      name,
    );
    const version = found.get(name)?.version ?? null;
    return { ...partStatus(record, { supervised: supervisor !== undefined, draining }), version };
  });
  const facts = factsThatHold(settings, wholeFacts(settings, state) ?? { ...state?.facts, ...factsOf(found) });
  return {
    database_url: facts.databaseUrl ?? null,
    temporal_address: facts.temporalAddress ?? null,
    temporal_ui_url: facts.temporalUiUrl ?? null,
    backend_url: facts.backendUrl ?? null,
    home: settings.home,
    version: buildVersion(),
    token_file: await pathIfExists(settings.tokenFile ?? paths.tokenFile),
    auth_header_file: await pathIfExists(paths.authHeaderFile),
    pgpass_file: await pathIfExists(paths.passfile),
    parts: [{ ...supervisorStatus(supervisor), version: supervisorVersion(supervisor, state) }, ...parts],
  };
}

/**
 * Returns the services' addresses for a command: from the record or, if the record is missing or damaged, from the
 * running processes.
 */
export async function readAddresses(settings: Settings): Promise<ServiceAddresses> {
  const paths = homePaths(settings.home);
  const state = await readState(paths);
  const facts = wholeFacts(settings, state) ?? { ...state?.facts, ...factsOf(await findParts(settings, paths)) };
  return factsThatHold(settings, facts);
}

/**
 * Returns the recorded addresses; `undefined` if they are incomplete: the password of the embedded Postgres is in a
 * file of its own, which may be missing.
 */
function wholeFacts(settings: Settings, state: HomeState | undefined): ServiceAddresses | undefined {
  const url = state?.facts.databaseUrl;
  if (settings.databaseUrl === undefined && url !== undefined && passwordOf(url) === undefined) return undefined;
  return state?.facts;
}

async function findParts(settings: Settings, paths: HomePaths): Promise<Map<string, FoundPart>> {
  const parts = partsToFind({ settings, paths });
  const found = await Promise.all(parts.map(async (part) => [part.name, await part.find()] as const));
  return new Map(found.flatMap(([name, part]) => (part ? [[name, part] as const] : [])));
}

const factsOf = (found: ReadonlyMap<string, FoundPart>): ServiceAddresses =>
  Object.assign({}, ...[...found.values()].map(({ facts }) => facts));

type ShownRecord = Pick<PartRecord, 'name' | 'state' | 'process' | 'detail'>;

/**
 * Returns the part's record, corrected by the running process. The record may name a process of another program or of a
 * copied home.
 */
function recordThatHolds(record: PartRecord | undefined, found: FoundPart | undefined, name: string): ShownRecord {
  const known = record?.process;
  if (record && known?.pid === found?.process.pid) return record;
  if (!found)
    return record && !(known && isAlive(known)) ? record : { name, state: 'stopped', process: null, detail: null };
  const state = record && record.process === null ? record.state : 'ready';
  return { name, state, process: found.process, detail: record?.detail ?? found.detail };
}

/** Returns the supervisor that holds the home's lock. Its record may be damaged or not written yet. */
export async function liveSupervisor(
  paths: HomePaths,
  state: HomeState | undefined,
): Promise<ProcessIdentity | undefined> {
  const holder = await lockHolderWithRole(paths.lock);
  if (!holder) return undefined;
  // Supervisors of older versions have no role in the lock file, so their record identifies them.
  const isSupervisor =
    holder.role === undefined
      ? !state || isSameProcess(state.supervisor, holder.process)
      : holder.role === 'supervisor';
  return isSupervisor ? holder.process : undefined;
}

/** Compares the pid and the start time, but not the boot id. */
export const isSameProcess = (one: ProcessIdentity | undefined, other: ProcessIdentity): boolean =>
  one?.pid === other.pid && one.startTime === other.startTime;

/** Adds the addresses of the user's own services, which are in the settings. */
function factsThatHold(settings: Settings, facts: ServiceAddresses): ServiceAddresses {
  return {
    ...(settings.databaseUrl === undefined ? {} : { databaseUrl: settings.databaseUrl }),
    ...(settings.temporal.kind === 'server' ? { temporalAddress: settings.temporal.address } : {}),
    ...facts,
  };
}

/** Returns a note if DATABASE_URL in the shell names another database than the database that the command uses. */
export function otherDatabaseNote(
  { databaseUrl: wanted }: Settings,
  used: string | null | undefined,
): string | undefined {
  if (wanted === undefined || !used || isSameDatabase(wanted, used)) return undefined;
  return (
    `DATABASE_URL of this shell is ${withoutPassword(wanted)}, but the services of this home were started with ` +
    `${withoutPassword(used)}, which this command uses; \`longhaul down && longhaul up -d\` changes that`
  );
}

/** Returns the running programs of Longhaul that have another version or build than the command. */
export const partsOfOtherVersion = ({ parts, version }: Status): PartStatus[] =>
  parts.filter((part) => part.version !== null && part.version !== version);

function supervisorVersion(supervisor: ProcessIdentity | undefined, state: HomeState | undefined): string | null {
  if (!supervisor || !isSameProcess(state?.supervisor, supervisor)) return null;
  return state?.version ?? UNRECORDED_VERSION;
}

type ShownPart = Omit<PartStatus, 'version'>;

function supervisorStatus(supervisor: ProcessIdentity | undefined): ShownPart {
  const name = 'supervisor';
  if (!supervisor) return { name, state: 'stopped', pid: null, detail: null };
  if (isSuspended(supervisor)) return { name, state: 'failed', pid: supervisor.pid, detail: SUSPENDED };
  return { name, state: 'ready', pid: supervisor.pid, detail: null };
}

function partStatus(
  record: ShownRecord,
  { supervised, draining }: { readonly supervised: boolean; readonly draining: readonly ProcessIdentity[] },
): ShownPart {
  const { name, state, process, detail } = record;
  if (process && isSuspended(process)) return { name, state: 'failed', pid: process.pid, detail: SUSPENDED };
  if (process && draining.some(({ pid }) => pid === process.pid))
    return { name, state: 'draining', pid: process.pid, detail: DRAINS };
  if (process && isAlive(process)) return { name, state, pid: process.pid, detail };
  // Without a supervisor no process starts the part again, whatever state the record has.
  if (!supervised) return { name, state: 'stopped', pid: null, detail: null };
  // The process has exited and the supervisor has not noticed it yet.
  return { name, state: process && state === 'ready' ? 'waiting' : state, pid: null, detail };
}

/**
 * Returns a part's detail in one line. If the detail quotes a log, the result is the last line of that log, because
 * that line usually names the cause.
 */
export function oneLineDetail(detail: string): string {
  const [first = '', ...quoted] = detail.split('\n');
  const what = first.replace(/\.? \/.* ends with:$/, '');
  const last = quoted.findLast((line) => line.trim() !== '');
  return what === first || last === undefined ? what : `${what}: ${messageOfLine(last.trim())}`;
}

/** Returns the message in a log line of one of our programs. */
function messageOfLine(line: string): string {
  const { msg } = (parseJsonOrUndefined(line) ?? {}) as { readonly msg?: unknown };
  return typeof msg === 'string' ? (msg.split('\n')[0] ?? '') : line;
}
