/** Finds the services for a command, by the settings and by the state file of the home's supervisor. */
import type { Settings } from '../services/settings.ts';
import { readAddresses } from '../services/status.ts';
import type { TemporalTarget } from '../services/temporal/connection.ts';
import { LonghaulError } from '../contract/errors.ts';
import { shellSettings } from './settings.ts';

export interface Services {
  readonly settings: Settings;
  readonly databaseUrl: string;
  readonly temporalAddress: string;
  readonly namespace: string;
  /** Address, TLS settings and API key of the Temporal connection. */
  readonly temporal: TemporalTarget;
  readonly backendUrl: string | undefined;
  readonly temporalUiUrl: string | undefined;
}

/** Returns the URL of the database, with its password. Fails in the same cases as `findServices`. */
export async function findDatabase(settings: Settings = shellSettings()): Promise<string> {
  const { databaseUrl } = await readAddresses(settings);
  if (databaseUrl === undefined) throw unknownService('Postgres', settings);
  return databaseUrl;
}

/** Fails with `service_unreachable` if no part was ever started in this home. Does not check that the services run. */
export async function findServices(settings: Settings = shellSettings()): Promise<Services> {
  const { databaseUrl, temporalAddress, backendUrl, temporalUiUrl } = await readAddresses(settings);
  if (databaseUrl === undefined || temporalAddress === undefined) {
    throw unknownService(databaseUrl === undefined ? 'Postgres' : 'Temporal', settings);
  }
  const temporal: TemporalTarget =
    settings.temporal.kind === 'server'
      ? settings.temporal.target
      : { namespace: settings.temporal.namespace, connection: { address: temporalAddress, tls: false } };
  return { settings, databaseUrl, temporalAddress, namespace: temporal.namespace, temporal, backendUrl, temporalUiUrl };
}

const unknownService = (what: 'Postgres' | 'Temporal', { home }: Settings): LonghaulError =>
  new LonghaulError(
    'service_unreachable',
    `The home ${home} has no record of ${what}: run \`longhaul up -d\`, or set LONGHAUL_HOME to another home.`,
  );
