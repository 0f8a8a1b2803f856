/**
 * The backend process: HTTP and intake. The process survives outages of Postgres and Temporal: /readyz reports them,
 * and requests are served again once both are available.
 */
import { keepCompacting } from '../client/compact-frames.ts';
import { openLonghaul, type Longhaul } from '../client/connection.ts';
import { type Intake, startIntake } from '../client/intake.ts';
import { migrateDatabase } from '../client/migrate-database.ts';
import { homePaths, prepareHome } from '../services/home/home.ts';
import { hostAndPort } from '../services/listen-host.ts';
import { makeLog } from '../services/log.ts';
import { prepareServices } from '../services/prepare.ts';
import { announceReady, READY_FD } from '../services/supervisor/ready.ts';
import { type ListenAddress, readSettings, type Settings } from '../services/settings.ts';
import { writeAuthHeader, readOrMakeToken, tokenForStart, tokenFileFor } from '../services/token.ts';
import { isErrno, LonghaulError, messageOf } from '../contract/errors.ts';
import { makeServer } from './server.ts';

/** The maximum duration of a stop. The supervisor kills the backend 10 s after SIGTERM. */
const CLOSE_MS = 8_000;

const log = makeLog('backend');

async function main(): Promise<void> {
  const settings = readSettings(process.env);
  const { longhaul, prepare } = open(settings);
  const stop = new AbortController();
  let trouble: string | undefined = 'Postgres and Temporal were not checked yet';
  let intake: Intake | undefined;
  let compacting: Promise<void> | undefined;
  const { host, port } = settings.listen;
  const server = makeServer({
    longhaul,
    intake: { trouble: () => trouble ?? intake?.trouble() },
    access: { token: await tokenOf(settings), listenHost: host, allowedHosts: settings.allowedHosts },
    projectRoots: settings.projectRoots,
    log,
  });

  const close = (signal: NodeJS.Signals): void => {
    if (stop.signal.aborted) return;
    log.info({ signal }, 'stopping');
    setTimeout(() => process.exit(1), CLOSE_MS).unref();
    stop.abort();
    void (async () => {
      await server.close();
      await Promise.all([intake?.ended, compacting]);
      await longhaul.close();
      log.info('stopped');
    })();
  };
  process.on('SIGTERM', close).on('SIGINT', close);

  const address = await server.listen({ host, port }).catch((error: unknown) => {
    throw cannotListen(settings.listen, error);
  });
  log.info({ address }, 'listening');
  const report = (news: string | undefined): void => {
    trouble = news;
    log.info({}, news ?? 'Postgres and Temporal are available');
  };
  await prepare(report, stop.signal);
  trouble = undefined;
  if (stop.signal.aborted) return;
  const { hostName, temporalContent } = settings;
  intake = startIntake({ ...longhaul, host: hostName, temporalContent, log, signal: stop.signal });
  compacting = keepCompacting({ sql: longhaul.sql, log, signal: stop.signal });
  await intake.working;
  announceReady(process.env, { url: address });
}

/**
 * Returns the error of a failed listen. Under a supervisor the backend is started again, on another port unless the
 * user has set one. Without a supervisor the user must choose another port.
 */
function cannotListen(listen: ListenAddress, error: unknown): LonghaulError {
  const isSupervised = process.env[READY_FD] !== undefined;
  const isTaken = isErrno(error, 'EADDRINUSE');
  // Another program may take the port after the supervisor has found it free and before this call.
  const next =
    isSupervised && isTaken
      ? '; the supervisor starts the backend again, on another port unless LONGHAUL_LISTEN names this one'
      : '';
  // The error has no `cause`, because the log would repeat it.
  return new LonghaulError(
    listen.fixed && !isSupervised ? 'invalid_input' : 'service_unreachable',
    `cannot listen on ${hostAndPort(listen)}: ${isTaken ? 'the port is taken' : messageOf(error)}${next}`,
  );
}

/** Returns the token, and creates one if none exists. This function is called before the backend listens. */
async function tokenOf(settings: Settings): Promise<string> {
  if (settings.tokenFile === undefined) await prepareHome(settings.home);
  const known = await tokenForStart(settings);
  const token =
    settings.tokenFile !== undefined && known !== undefined ? known : await readOrMakeToken(tokenFileFor(settings));
  // In a container the backend may have no home that it can write to. It serves requests without the header file.
  await writeAuthHeader(homePaths(settings.home).authHeaderFile, token).catch((error: unknown) =>
    log.warn({ err: error }, `no header file for curl: ${messageOf(error)}`),
  );
  return token;
}

interface Opened {
  readonly longhaul: Longhaul;
  /**
   * Resolves once both services have what this version needs, because before that a task could meet a table that does
   * not exist yet.
   */
  readonly prepare: (report: (trouble: string | undefined) => void, signal: AbortSignal) => Promise<void>;
}

function open(settings: Settings): Opened {
  if (settings.databaseUrl === undefined || settings.temporal.kind !== 'server') {
    throw new LonghaulError(
      'invalid_input',
      'The backend needs DATABASE_URL and TEMPORAL_ADDRESS. `longhaul up` starts it with both.',
    );
  }
  const { databaseUrl } = settings;
  const temporal = settings.temporal.target;
  return {
    longhaul: openLonghaul({
      databaseUrl,
      temporal,
      ...(settings.temporalUiUrl === undefined ? {} : { temporalUiUrl: settings.temporalUiUrl }),
      ...(settings.historyRetentionDays === undefined ? {} : { historyRetentionDays: settings.historyRetentionDays }),
      applicationName: 'longhaul backend',
    }),
    prepare: (report, signal) => prepareServices({ databaseUrl, temporal, migrate: migrateDatabase, report, signal }),
  };
}

main().catch((error: unknown) => {
  log.fatal({ err: error }, messageOf(error));
  process.exit(1);
});
