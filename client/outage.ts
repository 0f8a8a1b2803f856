/** Failures of the services that a client stands on, in our words. */
import { isConnectionLoss } from '../store/sql.ts';
import { LonghaulError } from '../contract/errors.ts';
import { isTemporalUnavailable } from './temporal.ts';

/** `undefined`: it is no outage. */
export function serviceFailure(error: unknown): LonghaulError | undefined {
  if (error instanceof LonghaulError) return error;
  const who = isConnectionLoss(error) ? 'Postgres' : isTemporalUnavailable(error) ? 'Temporal' : undefined;
  if (who === undefined) return undefined;
  return new LonghaulError('service_unreachable', `${who} does not answer. Try again later.`, { cause: error });
}
