/** Maps a failure that Temporal reports to the end of the task. */
import {
  ActivityFailure,
  ApplicationFailure,
  isCancellation,
  TemporalFailure,
  TimeoutFailure,
} from '@temporalio/workflow';
import type { TaskEnd } from '../contract/task.ts';
import { isErrorCode } from '../contract/errors.ts';

/**
 * Returns the end of the task. Only a cancel that a user requested ends a task as cancelled. A failure after such a
 * request counts as the cancel, because the step was being stopped. An error that is not a TemporalFailure is a bug: it
 * is rethrown, so that Temporal retries the workflow task until the code is fixed.
 */
export function endOf(error: unknown, cancel?: { reason?: string }): TaskEnd {
  if (!(error instanceof TemporalFailure)) throw error;
  if (cancel) return { state: 'cancelled', ...cancel };
  if (isCancellation(error)) return { state: 'cancelled' };
  const cause = error instanceof ActivityFailure ? error.cause : error;
  const step = error instanceof ActivityFailure ? error.activityType : 'a step';
  if (cause instanceof ApplicationFailure) {
    const code = isErrorCode(cause.type) ? cause.type : 'internal_error';
    return { state: 'failed', code, message: cause.message };
  }
  if (cause instanceof TimeoutFailure) {
    return {
      state: 'failed',
      code: 'step_timeout',
      message: `${step} did not respond in time (${cause.timeoutType}).`,
    };
  }
  return { state: 'failed', code: 'internal_error', message: `${step} failed: ${cause?.message ?? error.message}` };
}

/** Returns the message of a failed end; for any other end the name of its state. */
export function messageOf(end: TaskEnd): string {
  return end.state === 'failed' ? end.message : end.state;
}
