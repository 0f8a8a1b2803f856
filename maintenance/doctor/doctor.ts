/**
 * Checks everything that can prevent Longhaul from working, whether its parts run or not. The check changes nothing and
 * prints no secret.
 */
import { homePaths } from '../../services/home/home.ts';
import { type Longhaul, openLonghaul } from '../../client/connection.ts';
import { checkHealth, type Health } from '../../client/health.ts';
import { readSettings, type Settings } from '../../services/settings.ts';
import { otherDatabaseNote, readStatus, type Status } from '../../services/status.ts';
import type { TemporalTarget } from '../../services/temporal/connection.ts';
import { LonghaulError } from '../../contract/errors.ts';
import { findLeftovers } from '../gc/gc.ts';
import { workerEnvironment } from '../worker-environment.ts';
import { checkAgents } from './agents.ts';
import { type Check, ok, problem, textOf, warning } from './check.ts';
import { checkFolders, checkMachine, checkPrograms } from './machine.ts';
import { checkOtherUsers, readLocalUsers } from './other-users.ts';
import { checkMirrors } from './mirrors.ts';
import { checkParked } from './parked.ts';
import { checkRecordings } from './recordings.ts';
import { checkRuns } from './runs.ts';
import {
  checkResponses,
  checkEnvironment,
  checkParts,
  isPolled,
  shouldServicesRun,
  msSinceLastPoll,
  type CheckedServices,
} from './services.ts';
import { checkLeftovers, checkTasks, findWaitingTasks } from './tasks.ts';

export async function runChecks(env: NodeJS.ProcessEnv): Promise<Check[]> {
  const machine = await checkMachine();
  let settings: Settings;
  try {
    settings = readSettings(env);
  } catch (error) {
    if (!(error instanceof LonghaulError)) throw error;
    const advice = 'Correct or unset it; everything else is checked after that.';
    return [...machine, ...error.message.split('\n').map((line) => problem('settings', line, advice))];
  }
  const checks = [
    ...machine,
    checkSettings(env),
    ...(await checkFolders(settings)),
    ...(await checkPrograms(settings, env['PATH'] ?? '')),
    ...(settings.temporal.kind === 'embedded' ? [checkOtherUsers(await readLocalUsers())] : []),
  ];
  return [...checks, ...(await guarded('services', () => checkRunning(settings, env)))];
}

function checkDatabaseOfShell(settings: Settings, { database_url: used }: Status): Check[] {
  const note = otherDatabaseNote(settings, used);
  return note === undefined ? [] : [warning('DATABASE_URL', note, 'Unset it here, or start the services with it.')];
}

/** Lists the names of the settings without their values, because values may be secrets. */
function checkSettings(env: NodeJS.ProcessEnv): Check {
  const names = Object.keys(env).filter((name) => /^(LONGHAUL_|TEMPORAL_|DATABASE_URL$|DEFAULT_MODEL$)/.test(name));
  return ok('settings', names.length === 0 ? 'none are set' : names.sort().join(', '));
}

async function checkRunning(settings: Settings, env: NodeJS.ProcessEnv): Promise<Check[]> {
  const status = await readStatus(settings);
  const longhaul = (await isWorthAsking(settings, status)) ? connect(settings, status) : undefined;
  try {
    const health = longhaul && (await checkHealth(longhaul));
    const polledAgoMs =
      health?.temporal.ok && longhaul ? msSinceLastPoll(longhaul, settings.hostName) : Promise.resolve(undefined);
    polledAgoMs.catch(() => {}); // a rejection is reported by each check that awaits the promise
    const running: CheckedServices = { settings, status, longhaul, health, polledAgoMs };
    const answers = await guarded('services', () => checkResponses(running));
    const worker = await workerEnvironment(settings);
    const usable = longhaul && health?.postgres.ok && health.migrations.ok ? longhaul : undefined;
    return [
      ...(await guarded('services', async () => checkParts(running, await unattended(running, usable)))),
      ...checkDatabaseOfShell(settings, status),
      ...answers,
      ...checkEnvironment(worker, env),
      ...(await guarded('agents', () =>
        checkAgents(usable?.sql, { worker, shell: env, settingsFile: homePaths(settings.home).agentSettings }),
      )),
      ...(usable ? await guarded('tasks', async () => checkTasks(await findWaitingTasks(usable.sql))) : []),
      ...(usable && health?.temporal.ok ? await guarded('runs', async () => [await checkRuns(usable)]) : []),
      ...(await guarded('recordings', async () => [await checkRecordings(settings, usable?.sql)])),
      ...(await guarded('mirrors', () => checkMirrors(settings.home))),
      ...(await guarded('parked worktrees', async () => [await checkParked(settings, env['PATH'])])),
      ...(await guarded('leftovers', async () => [await look(settings, usable, health)])),
    ];
  } finally {
    await longhaul?.close();
  }
}

/**
 * Returns the number of open tasks that wait because no worker polls. Returns undefined if a worker polls, or if the
 * number cannot be read.
 */
async function unattended(running: CheckedServices, usable: Longhaul | undefined): Promise<number | undefined> {
  if (!usable || (await isPolled(running))) return undefined;
  return (await findWaitingTasks(usable.sql)).open;
}

async function look(settings: Settings, longhaul: Longhaul | undefined, health: Health | undefined): Promise<Check> {
  const knowledge =
    longhaul && health?.temporal.ok
      ? { sql: longhaul.sql, temporal: longhaul.temporal, host: settings.hostName }
      : undefined;
  return checkLeftovers(await findLeftovers(settings, knowledge, { removeKept: false }));
}

/**
 * Returns whether to check the services. Embedded services that were stopped are not checked, but services that the
 * settings name always are.
 */
async function isWorthAsking(settings: Settings, status: Status): Promise<boolean> {
  if (status.database_url === null || status.temporal_address === null) return false;
  return settings.databaseUrl !== undefined || (await shouldServicesRun({ settings, status }));
}

function connect(settings: Settings, { database_url: databaseUrl, temporal_address: address }: Status): Longhaul {
  const embedded = { connection: { address: address ?? '', tls: false } };
  const temporal: TemporalTarget =
    settings.temporal.kind === 'server'
      ? settings.temporal.target
      : { namespace: settings.temporal.namespace, ...embedded };
  return openLonghaul({ databaseUrl: databaseUrl ?? '', temporal, applicationName: 'longhaul doctor', connections: 3 });
}

/** Runs a check. If the check throws, returns the error as a problem. */
async function guarded(name: string, work: () => Promise<Check[]>): Promise<Check[]> {
  try {
    return await work();
  } catch (error) {
    return [problem(name, `could not be checked: ${textOf(error)}`, 'Report it, with this line.')];
  }
}
