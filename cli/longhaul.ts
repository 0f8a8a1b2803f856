/** What most commands do around their work: find the services, connect, and say it plainly if they are not there. */
import { type Longhaul, openLonghaul } from '../client/connection.ts';
import { checkDatabase } from '../client/health.ts';
import { LonghaulError } from '../workflows/errors.ts';
import { findServices, type Services } from './connect.ts';

export interface CommandContext {
  readonly longhaul: Longhaul;
  readonly services: Services;
}

/** Fails with `service_unreachable`, naming `longhaul up -d`, if Postgres or Temporal does not answer. */
export async function withLonghaul<T>(work: (context: CommandContext) => Promise<T>): Promise<T> {
  const services = await findServices();
  const { settings } = services;
  const longhaul = openLonghaul({
    databaseUrl: services.databaseUrl,
    temporal: services.temporal,
    applicationName: 'longhaul command',
    connections: 3,
    ...(services.temporalUiUrl === undefined ? {} : { temporalUiUrl: services.temporalUiUrl }),
    ...(settings.temporal.kind === 'server' ? {} : { historyRetentionDays: settings.historyRetentionDays }),
  });
  try {
    await refuseUnready(longhaul, services);
    return await work({ longhaul, services });
  } finally {
    await longhaul.close();
  }
}

async function refuseUnready(longhaul: Longhaul, { databaseUrl, settings }: Services): Promise<void> {
  const { postgres, migrations } = await checkDatabase(longhaul.sql);
  if (!postgres.ok) {
    throw new LonghaulError(
      'service_unreachable',
      `Postgres does not answer at ${new URL(databaseUrl).host} (${postgres.detail}). Start the services: longhaul up -d`,
    );
  }
  if (!migrations.ok) {
    throw new LonghaulError(
      'service_unreachable',
      `The database of ${settings.home} is not ready (${migrations.detail}). Start the services: longhaul up -d`,
    );
  }
}
