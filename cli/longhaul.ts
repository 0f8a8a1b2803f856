/** Runs the work of most commands: finds the services, connects, and reports services that are unavailable. */
import { join } from 'node:path';
import { type Longhaul, openLonghaul } from '../client/connection.ts';
import { checkDatabase, waitWhileBusy } from '../client/health.ts';
import { homePaths } from '../services/home/home.ts';
import { locatePostgres } from '../services/postgres/postgres.ts';
import { LonghaulError } from '../contract/errors.ts';
import { otherDatabaseNote } from '../services/status.ts';
import { findServices, type Services } from './connect.ts';

export interface CommandContext {
  readonly longhaul: Longhaul;
  readonly services: Services;
}

/**
 * Runs `work` with connections to the services. Fails with `service_unreachable` if Postgres or Temporal is
 * unavailable; the message says how to start the service.
 */
export async function withLonghaul<T>(work: (context: CommandContext) => Promise<T>): Promise<T> {
  const services = await findServices();
  const note = otherDatabaseNote(services.settings, services.databaseUrl);
  if (note !== undefined) process.stderr.write(`note: ${note}\n`);
  const { settings } = services;
  const longhaul = openLonghaul({
    databaseUrl: services.databaseUrl,
    temporal: services.temporal,
    applicationName: 'longhaul command',
    connections: 3,
    ...(services.temporalUiUrl === undefined ? {} : { temporalUiUrl: services.temporalUiUrl }),
    ...(settings.historyRetentionDays === undefined ? {} : { historyRetentionDays: settings.historyRetentionDays }),
  });
  try {
    await refuseUnready(longhaul, services);
    return await work({ longhaul, services });
  } finally {
    await longhaul.close();
  }
}

async function refuseUnready({ sql }: Longhaul, { databaseUrl, settings }: Services): Promise<void> {
  const { host } = new URL(databaseUrl);
  const paths = homePaths(settings.home);
  const busy = await waitWhileBusy(sql, {
    findServer: async () =>
      settings.databaseUrl === undefined ? (await locatePostgres(paths.postgres))?.identity.pid : undefined,
    onBusy: (pid) => process.stderr.write(`Postgres (pid ${pid}) is busy: waiting for its response\n`),
  });
  if (busy !== undefined) {
    throw new LonghaulError(
      'service_unreachable',
      `Postgres runs at ${host} (pid ${busy}), but did not respond within 30 s. Find what keeps this machine busy (top), read ` +
        `${join(paths.logs, 'postgres.log')} and \`longhaul status\`, then try again.`,
    );
  }
  const { postgres, migrations } = await checkDatabase(sql);
  const start = settings.databaseUrl === undefined ? 'Start the services: longhaul up -d' : 'Start it, or correct DATABASE_URL.'; // prettier-ignore
  if (!postgres.ok) {
    throw new LonghaulError(
      'service_unreachable',
      `Postgres does not respond at ${host} (${postgres.detail}). ${start}`,
    );
  }
  if (!migrations.ok) {
    throw new LonghaulError(
      'service_unreachable',
      `The database of ${settings.home} is not ready (${migrations.detail}). Start the services: longhaul down && longhaul up -d`,
    );
  }
}
