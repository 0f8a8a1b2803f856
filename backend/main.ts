/**
 * The backend process: HTTP and the intake. Postgres or Temporal away does not end it; /readyz says so, and what it
 * serves comes back with them.
 */
import { openLonghaul, type Longhaul } from '../client/connection.ts';
import { startIntake } from '../client/intake.ts';
import { makeLog } from '../services/log.ts';
import { announceReady } from '../services/ready.ts';
import { readSettings, type Settings } from '../services/settings.ts';
import { LonghaulError } from '../workflows/errors.ts';
import { makeServer } from './server.ts';

/** The supervisor allows 10 s from SIGTERM to the end. */
const CLOSE_MS = 8_000;

const log = makeLog('backend');

async function main(): Promise<void> {
  const settings = readSettings();
  const longhaul = open(settings);
  const stop = new AbortController();
  const intake = startIntake({ ...longhaul, host: settings.hostName, log, signal: stop.signal });
  const server = makeServer({ longhaul, intake, log });

  const close = (signal: NodeJS.Signals): void => {
    if (stop.signal.aborted) return;
    log.info({ signal }, 'stopping');
    setTimeout(() => process.exit(1), CLOSE_MS).unref();
    stop.abort();
    void (async () => {
      await server.close();
      await intake.ended;
      await longhaul.close();
      log.info('stopped');
    })();
  };
  process.on('SIGTERM', close).on('SIGINT', close);

  const { host, port } = settings.listen;
  const address = await server.listen({ host, port }).catch((error: unknown) => {
    throw new LonghaulError('invalid_input', `cannot listen on ${host}:${port}: ${String(error)}`, { cause: error });
  });
  log.info({ address }, 'listening');
  await intake.working;
  announceReady({ url: address });
}

function open(settings: Settings): Longhaul {
  if (settings.databaseUrl === undefined || settings.temporal.kind !== 'server') {
    throw new LonghaulError(
      'invalid_input',
      'The backend needs DATABASE_URL and TEMPORAL_ADDRESS. `longhaul up` starts it with both.',
    );
  }
  return openLonghaul({
    databaseUrl: settings.databaseUrl,
    temporal: settings.temporal.target,
    applicationName: 'longhaul backend',
  });
}

main().catch((error: unknown) => {
  log.fatal({ err: error }, error instanceof Error ? error.message : String(error));
  process.exit(1);
});
