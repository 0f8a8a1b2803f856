/** Checks the services and parts: which of them run, which should run, and whether they respond. */
import type { Longhaul } from '../../client/connection.ts';
import type { Health, PartHealth } from '../../client/health.ts';
import { missingSearchAttributes, pollersOf } from '../../client/temporal.ts';
import { homePaths, readState } from '../../services/home/home.ts';
import { isPortFree } from '../../services/supervisor/ports.ts';
import type { Settings } from '../../services/settings.ts';
import { oneLineDetail, partsOfOtherVersion, type PartStatus, type Status } from '../../services/status.ts';
import { hostNames } from '../../store/hosts.ts';
import { serverVersion } from '../../store/sql.ts';
import { secondsSinceMetrics } from '../../store/worker-metrics.ts';
import { agentQueue } from '../../contract/names.ts';
import { differingVariables } from '../worker-environment.ts';
import { type Check, ok, problem, textOf, unreachable, warning } from './check.ts';

const REPAIR = 'longhaul up -d repairs it; the logs are in';
const BACKEND_MS = 4_000;
/** If no poll was seen for this time, no worker polls, because each poll ends after at most a minute. */
const POLL_MS = 90_000;
/**
 * If a worker has written no metrics for this time, it hangs, because it writes them to the database every ten seconds.
 */
const SILENT_MS = 60_000;
const MIN_POSTGRES = 150_000;

export interface CheckedServices {
  readonly settings: Settings;
  readonly status: Status;
  /** Undefined if the address of the database or of Temporal is not known. */
  readonly longhaul: Longhaul | undefined;
  readonly health: Health | undefined;
  /**
   * The time in milliseconds since a worker last polled for tasks of this host. Undefined if no worker has polled, or
   * if Temporal is unavailable.
   */
  readonly polledAgoMs: Promise<number | undefined>;
}

/** Returns whether any part runs, or should run because the supervisor's state file says so. */
export async function shouldServicesRun({
  settings,
  status,
}: Pick<CheckedServices, 'settings' | 'status'>): Promise<boolean> {
  if (status.parts.some((part) => part.pid !== null)) return true;
  // A part that is recorded as ready should run. If it does not run, it was killed or the machine went down, because
  // `longhaul down` would have changed the record.
  const state = await readState(homePaths(settings.home));
  return state?.parts.some((part) => part.state === 'ready' && part.process !== null) === true;
}

/**
 * Checks whether the parts run. `open` is the number of open tasks that wait for a worker, or undefined if it is not
 * known.
 */
export async function checkParts({ settings, status }: CheckedServices, open: number | undefined): Promise<Check[]> {
  if (!(await shouldServicesRun({ settings, status }))) {
    const idle = open
      ? warning('services', `not running; ${open} ${open === 1 ? 'task waits' : 'tasks wait'}`, 'longhaul up -d')
      : ok('services', 'not running; `longhaul up -d` starts them');
    return [idle, ...(await checkPort(settings))];
  }
  const { logs } = homePaths(settings.home);
  return [...status.parts.map((part) => checkPart(part, logs)), ...checkVersions(status)];
}

function checkVersions(status: Status): Check[] {
  const others = partsOfOtherVersion(status);
  if (others.length === 0) return [];
  const running = others.map(({ name, version }) => `${name} ${version}`).join(', ');
  const detail = `this command is version ${status.version}, but these parts run another version: ${running}`;
  const advice = '`longhaul down && longhaul up -d` replaces them; agents at work are interrupted and continue.';
  return [warning('version', detail, advice)];
}

function checkPart({ name, state, pid, detail }: PartStatus, logs: string): Check {
  const shown = [state, pid === null ? '' : `pid ${pid}`, oneLineDetail(detail ?? '')].filter(Boolean).join(', ');
  if (state === 'ready') return ok(name, shown);
  if (state === 'draining')
    return warning(name, shown, 'longhaul down && longhaul up -d continues its turns in a new worker at once.');
  if (state === 'starting') return warning(name, shown, 'Wait a moment, then run `longhaul doctor` again.');
  return unreachable(name, shown, `${REPAIR} ${logs}`);
}

async function checkPort({ listen }: Settings): Promise<Check[]> {
  const { host, port, fixed } = listen;
  const name = 'port';
  try {
    if (port === 0 || (await isPortFree(port, host))) return [ok(name, `${host}:${port} is free`)];
  } catch (error) {
    return [problem(name, `${host}:${port}: ${textOf(error)}`, 'Correct LONGHAUL_LISTEN.')];
  }
  if (!fixed) return [ok(name, `${host}:${port} is taken; the backend uses another port`)];
  return [
    problem(name, `${host}:${port} is taken`, 'End what listens there, choose another port, or unset LONGHAUL_LISTEN.'),
  ];
}

export async function checkResponses(running: CheckedServices): Promise<Check[]> {
  const { status, longhaul, health } = running;
  if (!longhaul || !health) return [];
  const checks = [
    ...(await checkDatabase(running, longhaul, health)),
    ...(await checkTemporal(running, longhaul, health)),
  ];
  if (status.parts.some((part) => part.name === 'backend' && part.pid !== null))
    checks.push(await checkBackend(status, health));
  return checks;
}

async function checkDatabase(running: CheckedServices, longhaul: Longhaul, health: Health): Promise<Check[]> {
  const name = 'database';
  const { settings } = running;
  const advice = settings.databaseUrl === undefined ? adviceOn(running, 'postgres') : 'Start it, or correct DATABASE_URL.'; // prettier-ignore
  if (!health.postgres.ok) return [unreachable(name, health.postgres.detail, advice)];
  try {
    const server = await serverVersion(longhaul.sql);
    if (server.number < MIN_POSTGRES) {
      return [
        problem(name, `expected Postgres 15 or newer, found ${server.version}`, 'Set DATABASE_URL to a newer one.'),
      ];
    }
    const found = `Postgres ${server.version}`;
    if (!health.migrations.ok)
      return [problem(name, `${found}, schema ${health.migrations.detail}`, 'longhaul up -d brings it up to date.')];
    const more = [...(await checkHost(longhaul, settings)), ...(await checkSilence(longhaul, running))];
    return [ok(name, `${found}, schema up to date`), ...more];
  } catch (error) {
    return [unreachable(name, textOf(error), advice)];
  }
}

/**
 * Returns the advice for a service that does not respond. If the service's process runs, the service may be busy, so
 * the advice is not to start it again.
 */
function adviceOn(
  { status, settings }: Pick<CheckedServices, 'settings' | 'status'>,
  name: 'postgres' | 'temporal',
): string {
  const part = status.parts.find((one) => one.name === name);
  if (part?.state !== 'ready' || part.pid === null) return 'longhaul up -d';
  return `Its process ${part.pid} runs and is busy: see what keeps this machine busy (top), and ${homePaths(settings.home).logs}/${name}.log.`;
}

async function checkHost({ sql }: Longhaul, { hostName }: Settings): Promise<Check[]> {
  const others = (await hostNames(sql)).filter((name) => name !== hostName);
  if (others.length === 0) return [];
  const detail = `the database serves host ${others.join(', ')}, the name of this machine is ${hostName}`;
  return [problem('host', detail, `Set LONGHAUL_HOST_NAME=${others[0] ?? ''}, or use another database.`)];
}

async function checkTemporal(running: CheckedServices, longhaul: Longhaul, health: Health): Promise<Check[]> {
  const { settings, status } = running;
  const name = 'temporal server';
  const given = settings.temporal.kind === 'server';
  const advice = given
    ? 'Start it, or correct TEMPORAL_ADDRESS and TEMPORAL_NAMESPACE.'
    : adviceOn({ settings, status }, 'temporal');
  if (!health.temporal.ok) return [unreachable(name, health.temporal.detail, advice)];
  const checks: Check[] = [];
  try {
    const missing = await missingSearchAttributes(longhaul.temporal);
    const found = `${status.temporal_address ?? ''}, namespace ${longhaul.namespace}`;
    checks.push(
      missing.length === 0
        ? ok(name, found)
        : problem(
            name,
            `${found} lacks search attributes ${missing.join(', ')}`,
            'longhaul up -d registers them, or says why it cannot.',
          ),
    );
    if (status.parts.some((part) => part.name === 'worker' && part.state === 'ready')) {
      checks.push(await checkPolls(running));
    }
  } catch (error) {
    checks.push(unreachable(name, textOf(error), advice));
  }
  return checks;
}

/**
 * Warns if the worker has written no metrics for some time, because its code then hangs. Polls do not show this,
 * because the core of Temporal's SDK continues to poll.
 */
async function checkSilence({ sql }: Longhaul, { settings, status }: CheckedServices): Promise<Check[]> {
  const worker = status.parts.find((part) => part.name === 'worker');
  if (worker?.state !== 'ready' || worker.pid === null) return [];
  const seconds = await secondsSinceMetrics(sql, `${settings.hostName}/${worker.pid}`);
  if (seconds === undefined || seconds * 1000 < SILENT_MS) return [];
  const detail = `pid ${worker.pid} has written no metrics for ${Math.round(seconds)} s; a worker writes them every 10 s`;
  return [warning('worker answers', detail, 'longhaul down && longhaul up -d; its tasks continue.')];
}

/**
 * Returns the time in milliseconds since a worker last polled for tasks of this host. Returns undefined if no worker
 * has polled.
 */
export async function msSinceLastPoll({ temporal }: Longhaul, hostName: string): Promise<number | undefined> {
  const polls = await pollersOf(temporal, agentQueue(hostName), 'activity');
  return polls.length === 0 ? undefined : Date.now() - Math.max(...polls.map(({ at }) => at.getTime()));
}

/** Returns whether a worker polls the host's task queue. This worker may belong to another home. */
export async function isPolled({ polledAgoMs }: Pick<CheckedServices, 'polledAgoMs'>): Promise<boolean> {
  const ago = await polledAgoMs;
  return ago !== undefined && ago < POLL_MS;
}

/** Checks that a worker polls. A worker that hangs is alive but does not poll. */
async function checkPolls(running: CheckedServices): Promise<Check> {
  const { settings } = running;
  const ago = await running.polledAgoMs;
  if (await isPolled(running)) return ok('worker polls', `polls for tasks of host ${settings.hostName}`);
  return unreachable(
    'worker polls',
    ago === undefined
      ? `no worker polls for tasks of host ${settings.hostName}`
      : `the last poll for tasks of host ${settings.hostName} was ${Math.round(ago / 1000)} s ago`,
    'longhaul down && longhaul up -d',
  );
}

async function checkBackend({ backend_url: url }: Status, health: Health): Promise<Check> {
  const name = 'backend answers';
  if (url === null) return unreachable(name, 'its address is not known', 'longhaul up -d');
  try {
    const response = await fetch(new URL('/readyz', url), { signal: AbortSignal.timeout(BACKEND_MS) });
    if (response.ok) return ok(name, url);
    const { parts } = (await response.json()) as { parts?: Record<string, PartHealth> };
    // The checks before this one have reported the unavailable services. So this check only says that the backend waits
    // for them.
    const awaited = [...(health.postgres.ok ? [] : ['Postgres']), ...(health.temporal.ok ? [] : ['Temporal'])];
    if (awaited.length > 0) {
      return unreachable(
        name,
        `${url} waits for ${awaited.join(' and ')}`,
        'It continues without help when that responds.',
      );
    }
    const ill = Object.entries(parts ?? {}).flatMap(([part, said]) => (said.ok ? [] : `${part}: ${said.detail}`));
    return unreachable(name, `${url} reports that it is not ready (${ill.join('; ')})`, 'longhaul up -d');
  } catch (error) {
    const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
    return unreachable(name, `${url}: ${textOf(cause)}`, 'longhaul up -d');
  }
}

/**
 * Warns if the worker's environment, which agents get, differs from this shell's. Names the variables, never values.
 */
export function checkEnvironment(worker: NodeJS.ProcessEnv | undefined, shell: NodeJS.ProcessEnv): Check[] {
  if (!worker) return [];
  const names = differingVariables(worker, shell);
  if (names.length === 0) return [ok('environment', 'agents start with what this shell has')];
  const detail = `agents start with the worker's environment, which differs from this shell's in ${names.join(', ')}`;
  return [warning('environment', detail, '`longhaul down && longhaul up -d` here takes this shell’s.')];
}
