/**
 * Limits how often and how long a failing agent is retried. A lost worker or an unavailable database is no failure of
 * the agent, so attempts that end for these reasons do not count here (workflows/steps.ts has their limit).
 */
import { ERRORS, type ErrorCode, LonghaulError, messageOf } from '../contract/errors.ts';

/** How many attempts may fail because of the agent, its provider or Longhaul before the task fails. */
const MAX_FAILED_ATTEMPTS = 3;
/**
 * The time after the first failure in which further attempts may begin. Three stalls of a silent tool take 6 hours with
 * the default timeouts, so a task with such a tool gets all its attempts. A task that fails a second time half a day
 * after its first failure probably has a permanent fault, and each attempt costs money while no user watches.
 */
const MAX_RETRYING_MS = 12 * 60 * 60_000;
/** The pauses before the second and the third attempt. The slot is free during a pause. */
const PAUSES_MS: readonly number[] = [1_000, 5_000];
/**
 * The pauses after a failure of the provider. They are longer, because agents themselves already retry their provider
 * for half a minute or more.
 */
const PROVIDER_PAUSES_MS: readonly number[] = [5_000, 30_000];

/** Failures that do not count, because the machine or an operator ended the attempt. */
export const UNCOUNTED_CODES: readonly ErrorCode[] = ['worker_lost', 'superseded', 'service_unreachable'];

/** Returns the error with its code. An error without a code is a fault of Longhaul. */
export function turnFailure(error: unknown): LonghaulError {
  if (error instanceof LonghaulError) return error;
  const message = messageOf(error);
  return new LonghaulError('internal_error', `the turn failed because of a fault in Longhaul: ${message}`, {
    cause: error,
  });
}

/** The failed earlier attempts of the task since its last wait for a limit, from its rows. */
export interface FailureHistory {
  readonly count: number;
  /** The milliseconds since the first of these attempts ended. 0 if there is none. */
  readonly sinceFirstMs: number;
}

/**
 * Returns the pause before the next attempt, in milliseconds. Undefined: there is no next attempt, and the failure is
 * final.
 */
export function pauseBeforeRetry(code: ErrorCode, { count, sinceFirstMs }: FailureHistory): number | undefined {
  const { retryable, origin } = ERRORS[code];
  if (retryable && UNCOUNTED_CODES.includes(code)) return PAUSES_MS[0];
  if (!retryable || count + 1 >= MAX_FAILED_ATTEMPTS) return undefined;
  const pauseMs = (origin === 'provider' ? PROVIDER_PAUSES_MS : PAUSES_MS)[count] ?? 0;
  return sinceFirstMs + pauseMs > MAX_RETRYING_MS ? undefined : pauseMs;
}
