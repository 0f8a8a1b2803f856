/**
 * Prepares the services for the worker and the backend, before they do anything else: waits until Postgres and Temporal
 * are available, migrates the database, and adds what this version needs in Temporal. If a supervisor started the
 * program, the supervisor has prepared everything already.
 *
 * During an outage `prepareServices` reports the problem and waits without a limit. If a person must fix the problem,
 * `prepareServices` fails at once.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { LonghaulError, messageOf } from '../contract/errors.ts';
import { checkTemporal, type TemporalTarget } from './temporal/connection.ts';

const FIRST_PAUSE_MS = 100;
const LAST_PAUSE_MS = 2_000;

export interface Preparation {
  readonly databaseUrl: string;
  readonly temporal: TemporalTarget;
  /** Migrates the database to the newest schema. Fails with `invalid_input` if a retry cannot succeed. */
  readonly migrate: (databaseUrl: string) => Promise<void>;
  /** Called when the reported problem changes; `undefined` means that the services are available. */
  readonly report: (trouble: string | undefined) => void;
  /** When the signal is aborted, `prepareServices` resolves without a report. */
  readonly signal?: AbortSignal;
}

/** Resolves when both services are ready, or when `signal` is aborted. */
export async function prepareServices({ databaseUrl, temporal, migrate, report, signal }: Preparation): Promise<void> {
  const troubles = new Map<string, string>();
  let reported: string | undefined;
  const update = (service: string, trouble: string | undefined): void => {
    if (trouble === undefined) troubles.delete(service);
    else troubles.set(service, `waiting for ${service}: ${trouble}`);
    const now = troubles.size === 0 ? undefined : [...troubles.values()].join('; ');
    if (now === reported) return;
    reported = now;
    report(now);
  };
  const { host } = new URL(databaseUrl);
  const { address } = temporal.connection;
  await Promise.all([
    untilDone(
      () => migrate(databaseUrl),
      (trouble) => update(`Postgres at ${host}`, trouble),
      signal,
    ),
    untilDone(
      () => checkTemporal(temporal),
      (trouble) => update(`Temporal at ${address}`, trouble),
      signal,
    ),
  ]);
}

async function untilDone(
  work: () => Promise<void>,
  update: (trouble: string | undefined) => void,
  signal: AbortSignal | undefined,
): Promise<void> {
  const stopped = (): boolean => signal?.aborted === true;
  for (let pauseMs = FIRST_PAUSE_MS; !stopped(); pauseMs = Math.min(2 * pauseMs, LAST_PAUSE_MS)) {
    try {
      await work();
      update(undefined);
      return;
    } catch (error) {
      if (error instanceof LonghaulError && error.code === 'invalid_input') throw error;
      update(messageOf(error));
    }
    // The sleep rejects only if `signal` is aborted.
    await sleep(pauseMs, undefined, { ...(signal && { signal }) }).catch(() => undefined);
  }
}
