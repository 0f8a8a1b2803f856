/** The four parts of a home: Postgres, Temporal, worker, backend. */
import { join } from 'node:path';
import postgres from 'postgres';
import { isErrno, LonghaulError, messageOf } from '../../contract/errors.ts';
import { setHistoryRetention } from '../temporal/history-retention.ts';
import type { ServiceAddresses, HomePaths } from '../home/home.ts';
import { hostAndPort } from '../listen-host.ts';
import type { FoundPart, Part, PartContext, StartedPart } from './part.ts';
import { isPortFree, preferredOrFreePort } from './ports.ts';
import { findPostmaster, findRemovedPostmaster } from '../postgres/pidfile.ts';
import { locatePostgres, startPostgres, stopPostgres } from '../postgres/postgres.ts';
import { loaderEnv, ownModulePath } from '../../processes/own-module.ts';
import { programPart } from './program-part.ts';
import type { Announcement } from './ready.ts';
import type { ListenAddress, Settings } from '../settings.ts';
import { findTemporal } from '../temporal/binary.ts';
import { checkTemporal } from '../temporal/connection.ts';
import { findTemporalServer, locateTemporalServer, startTemporal, stopTemporal } from '../temporal/temporal.ts';

/** How long the worker may take to end its turns after SIGTERM. The worker exits earlier if it can. */
const WORKER_GRACE_MS = 45_000;
const BACKEND_GRACE_MS = 10_000;
const CHECK_MS = 10_000;

export interface PartsOptions {
  readonly settings: Settings;
  readonly paths: HomePaths;
  /** The environment that worker and backend inherit. Programs are searched on its PATH. */
  readonly env: NodeJS.ProcessEnv;
  /** Migrates the database to the newest schema. It runs each time that Postgres has started. */
  readonly migrate: (databaseUrl: string) => Promise<void>;
  /** The module of the worker process. Default: Longhaul's own. */
  readonly workerEntry?: string;
}

/** Returns the parts in the order in which they start. They are stopped in the opposite order. */
export function makeParts(options: PartsOptions): Part[] {
  return [postgresPart(options), temporalPart(options), workerPart(options), backendPart(options)];
}

/** Returns the same parts for finding and stopping them. They cannot be started. */
export function partsToFind({ settings, paths }: Pick<PartsOptions, 'settings' | 'paths'>): Part[] {
  return makeParts({ settings, paths, env: {}, migrate: async () => {} });
}

export function postgresPart({ settings, paths, migrate }: PartsOptions): Part {
  const logFile = join(paths.logs, 'postgres.log');
  const external = settings.databaseUrl;
  const start = async (): Promise<StartedPart> => {
    if (external !== undefined) {
      await checkDatabase(external);
      await migrate(external);
      return notOurs(new URL(external).host, { databaseUrl: external });
    }
    const running = await startPostgres({ dir: paths.postgres, logFile });
    await migrate(running.url);
    const { identity, port, url } = running;
    return { ...running, process: identity, detail: `127.0.0.1:${port}`, facts: { databaseUrl: url } };
  };
  const find = async (): Promise<FoundPart | undefined> => {
    const found = external === undefined ? await locatePostgres(paths.postgres) : undefined;
    if (!found) return undefined;
    const facts = found.url === undefined ? {} : { databaseUrl: found.url };
    return { process: found.identity, detail: `127.0.0.1:${found.port}`, facts };
  };
  const stop = async (): Promise<void> => {
    const data = join(paths.postgres, 'data');
    const identity = (await findPostmaster(data))?.identity ?? (await findRemovedPostmaster(data));
    if (identity) await stopPostgres(identity);
  };
  return { name: 'postgres', needs: [], logFile, start, find, stop };
}

export function temporalPart({ settings, paths, env }: PartsOptions): Part {
  const logFile = join(paths.logs, 'temporal.log');
  const start = async ({ report, signal }: PartContext): Promise<StartedPart> => {
    if (settings.temporal.kind === 'server') {
      const { address, target } = settings.temporal;
      await checkTemporal(target);
      return notOurs(address, { temporalAddress: address });
    }
    const running = await startTemporal({
      dir: paths.temporal,
      logFile,
      namespace: settings.temporal.namespace,
      ui: settings.temporalUi,
      findProgram: () => findTemporal({ cacheDir: settings.cacheDir, env, onProgress: report, signal }),
    });
    const { identity, address, uiUrl, formerDatabase } = running;
    const days = settings.historyRetentionDays;
    if (days !== undefined) await setHistoryRetention({ address, namespace: settings.temporal.namespace, days });
    const place = temporalPlace(address, uiUrl);
    if (formerDatabase === undefined) return { ...running, process: identity, ...place };
    const note = `began a new database; the former one contained no tables and is now ${formerDatabase}`;
    report(`temporal: ${note}`);
    return { ...running, process: identity, ...place, detail: `${place.detail}; ${note}` };
  };
  const find = async (): Promise<FoundPart | undefined> => {
    const found = settings.temporal.kind === 'embedded' ? await locateTemporalServer(paths.temporal) : undefined;
    if (!found) return undefined;
    const { identity, address, uiUrl } = found;
    return { process: identity, ...temporalPlace(address, uiUrl) };
  };
  const stop = async (): Promise<void> => {
    const identity = await findTemporalServer(paths.temporal);
    if (identity) await stopTemporal(identity);
  };
  return { name: 'temporal', needs: [], logFile, start, find, stop };
}

function temporalPlace(address: string, uiUrl: string | undefined): { detail: string; facts: ServiceAddresses } {
  return uiUrl === undefined
    ? { detail: `${address}, no Web UI`, facts: { temporalAddress: address } }
    : { detail: `${address}, Web UI ${uiUrl}`, facts: { temporalAddress: address, temporalUiUrl: uiUrl } };
}

export function workerPart(options: PartsOptions): Part {
  const { settings, paths } = options;
  return programPart({
    name: 'worker',
    needs: ['postgres', 'temporal'],
    entry: options.workerEntry ?? ownModulePath('worker'),
    paths,
    graceMs: WORKER_GRACE_MS,
    env: async (facts) => ({ ...commonEnv(options, facts), LONGHAUL_LISTEN: hostAndPort(settings.listen) }),
    fingerprint: (facts) => JSON.stringify([settings, facts.databaseUrl, facts.temporalAddress]),
    describe: () => ({ detail: `${settings.agentSlots} agent slots`, facts: {} }),
  });
}

export function backendPart(options: PartsOptions): Part {
  const { settings, paths } = options;
  return programPart({
    name: 'backend',
    needs: ['postgres', 'temporal'],
    entry: ownModulePath('backend/main'),
    paths,
    graceMs: BACKEND_GRACE_MS,
    env: async (facts, last) => ({
      ...commonEnv(options, facts),
      LONGHAUL_LISTEN: hostAndPort(await chooseListenAddress(settings.listen, last)),
    }),
    fingerprint: (facts) => JSON.stringify([settings, facts.databaseUrl, facts.temporalAddress, facts.temporalUiUrl]),
    check: answersReady,
    describe: ({ url }) => ({ detail: url ?? 'no address', facts: url === undefined ? {} : { backendUrl: url } }),
  });
}

function notOurs(detail: string, facts: ServiceAddresses): StartedPart {
  const exited = new Promise<string>(() => {});
  return { process: null, exited, release: () => {}, attached: true, detail: `not ours: ${detail}`, facts };
}

async function checkDatabase(url: string): Promise<void> {
  const sql = postgres(url, { max: 1, connect_timeout: 5, onnotice: () => {} });
  try {
    await sql`SELECT 1`;
  } catch (error) {
    const reason = messageOf(error);
    throw new LonghaulError('service_unreachable', `The Postgres of DATABASE_URL (${new URL(url).host}) cannot be used: ${reason}`, { cause: error }); // prettier-ignore
  } finally {
    await sql.end({ timeout: 1 });
  }
}

/**
 * Chooses the address of the backend. A port that the user set is used, or the start fails. Otherwise the backend gets
 * the port of its last start, so that clients find it again, or the default port, or any free one.
 */
export async function chooseListenAddress(
  listen: ListenAddress,
  last: Announcement | undefined,
): Promise<ListenAddress> {
  const lastPort = last?.url === undefined ? undefined : Number(new URL(last.url).port);
  if (!listen.fixed) return { ...listen, port: await preferredOrFreePort(lastPort || listen.port) };
  if (listen.port === 0) return { ...listen, port: await preferredOrFreePort(lastPort || undefined) };
  await refuseTakenPort(listen);
  return listen;
}

/**
 * Checks an address that the user set: the port must be free, and the host an address of this machine. Fails with
 * `invalid_input`.
 */
export async function refuseTakenPort(listen: ListenAddress): Promise<void> {
  if (!listen.fixed) return;
  const isFree = await isPortFree(listen.port, listen.host).catch((error: unknown) => {
    if (!isErrno(error, 'ENOTFOUND', 'EAI_AGAIN', 'EADDRNOTAVAIL', 'EINVAL')) throw error;
    throw new LonghaulError(
      'invalid_input',
      `LONGHAUL_LISTEN is ${hostAndPort(listen)}, but ${listen.host} is no address of this machine (${messageOf(error)}): set it to 127.0.0.1:4700 or to an address that \`ip address\` lists, or unset it.`,
    );
  });
  if (isFree) return;
  throw new LonghaulError(
    'invalid_input',
    `LONGHAUL_LISTEN is ${hostAndPort(listen)}, but that port is taken: end what listens there, choose another port, or unset it.`,
  );
}

async function answersReady({ url }: Announcement): Promise<boolean> {
  if (url === undefined) return false;
  return fetch(new URL('/readyz', url), { signal: AbortSignal.timeout(CHECK_MS) }).then(
    (response) => response.ok,
    () => false,
  );
}

/**
 * Returns the inherited environment with a variable for every setting, also for the defaults. Agents get only the
 * variables that their driver passes on.
 */
function commonEnv({ settings, paths, env }: PartsOptions, facts: ServiceAddresses): NodeJS.ProcessEnv {
  const inherited = Object.entries(env).filter(
    ([name]) => settings.temporal.kind === 'server' || !name.startsWith('TEMPORAL_'),
  );
  return {
    ...Object.fromEntries(inherited),
    ...loaderEnv(),
    ...(settings.temporal.kind === 'embedded'
      ? // The null device, so that no Temporal profile of the machine adds TLS or an API key to the connection to our own
        // server.
        { TEMPORAL_NAMESPACE: settings.temporal.namespace, TEMPORAL_CONFIG_FILE: '/dev/null' }
      : { TEMPORAL_NAMESPACE: settings.temporal.target.namespace }),
    DATABASE_URL: facts.databaseUrl,
    TEMPORAL_ADDRESS: facts.temporalAddress,
    ...(facts.temporalUiUrl === undefined ? {} : { LONGHAUL_TEMPORAL_UI_URL: facts.temporalUiUrl }),
    ...(settings.historyRetentionDays === undefined
      ? {}
      : { LONGHAUL_HISTORY_RETENTION: String(settings.historyRetentionDays) }),
    LONGHAUL_HOME: paths.home,
    LONGHAUL_CACHE: settings.cacheDir,
    LONGHAUL_HOST_NAME: settings.hostName,
    LONGHAUL_AGENT_SLOTS: String(settings.agentSlots),
  };
}
