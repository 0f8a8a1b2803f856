/** Converts failures of Postgres and Temporal to errors of Longhaul. */
import { isConnectionLoss } from '../store/sql.ts';
import { LonghaulError } from '../contract/errors.ts';
import { isTemporalUnavailable } from './temporal.ts';

/**
 * Returns an error of Longhaul unchanged, and an outage of a service as `service_unreachable`. Returns `undefined` for
 * any other error.
 */
export function serviceFailure(error: unknown): LonghaulError | undefined {
  if (error instanceof LonghaulError) return error;
  const who = isConnectionLoss(error) ? 'Postgres' : isTemporalUnavailable(error) ? 'Temporal' : undefined;
  if (who === undefined) return undefined;
  return new LonghaulError('service_unreachable', `${who} does not answer. Try again later.`, { cause: error });
}
