/**
 * How often and how long a failing agent is tried again. Lost workers and a database that is away are not the agent's
 * failures: those attempts are retried without end (workflows/steps.ts).
 */
import { ERRORS, type ErrorCode, LonghaulError, messageOf } from '../contract/errors.ts';

/** Attempts that may fail by the agent's, its provider's or our own fault before the task does. */
const MAX_FAILED_ATTEMPTS = 3;
/**
 * No attempt begins later than this after the first failure. Three stalls of a silent tool take 6 hours with the default
 * timeouts: those get all their attempts. A task that fails for the second time half a day after the first is more
 * likely broken than unlucky, and costs money while nobody looks.
 */
const MAX_RETRYING_MS = 12 * 60 * 60_000;
/** Before the second and the third attempt. The slot is free meanwhile. */
const PAUSES_MS: readonly number[] = [1_000, 5_000];
/** Agents have tried their provider again for half a minute and more by themselves: an outage needs more time. */
const PROVIDER_PAUSES_MS: readonly number[] = [5_000, 30_000];

/** Failures that say nothing about the task: the machine or an operator ended the attempt. */
export const UNCOUNTED: readonly ErrorCode[] = ['worker_lost', 'superseded', 'service_unreachable'];

/** What nobody has named is a fault of ours. */
export function turnFailure(error: unknown): LonghaulError {
  if (error instanceof LonghaulError) return error;
  const message = messageOf(error);
  return new LonghaulError('internal_error', `the turn failed by a fault of Longhaul's: ${message}`, { cause: error });
}

/** What the task's rows say of its earlier attempts, since it last waited for a limit. */
export interface Failures {
  readonly count: number;
  /** Since the first of them ended; none: 0. */
  readonly sinceFirstMs: number;
}

/** How long to wait before the next attempt, in milliseconds. Undefined: there is none, the failure is final. */
export function pauseBeforeRetry(code: ErrorCode, { count, sinceFirstMs }: Failures): number | undefined {
  const { retryable, origin } = ERRORS[code];
  if (retryable && UNCOUNTED.includes(code)) return PAUSES_MS[0];
  if (!retryable || count + 1 >= MAX_FAILED_ATTEMPTS) return undefined;
  const pauseMs = (origin === 'provider' ? PROVIDER_PAUSES_MS : PAUSES_MS)[count] ?? 0;
  return sinceFirstMs + pauseMs > MAX_RETRYING_MS ? undefined : pauseMs;
}
