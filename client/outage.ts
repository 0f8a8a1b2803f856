/** Failures of the services that a client needs, as our errors. */
import { isConnectionLoss } from '../store/sql.ts';
import { LonghaulError } from '../contract/errors.ts';
import { isTemporalUnavailable } from './temporal.ts';

/** `undefined`: it is neither an outage nor an error of ours. */
export function serviceFailure(error: unknown): LonghaulError | undefined {
  if (error instanceof LonghaulError) return error;
  const who = isConnectionLoss(error) ? 'Postgres' : isTemporalUnavailable(error) ? 'Temporal' : undefined;
  if (who === undefined) return undefined;
  return new LonghaulError('service_unreachable', `${who} does not answer. Try again later.`, { cause: error });
}
