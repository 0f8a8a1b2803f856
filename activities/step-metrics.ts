/**
 * Records the metrics of steps. The SDK adds the labels namespace, task_queue and activity_type. If the worker exports
 * no metrics, these functions do nothing.
 */
import { Context } from '@temporalio/activity';
import type { ErrorCode } from '../contract/errors.ts';

const BUCKETS_S = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1_800, 7_200];
const STEP_DURATION = 'longhaul_step_duration_seconds';
const QUEUE_WAIT = 'longhaul_task_queue_wait_seconds';

/** The buckets of Longhaul's histograms, for the options of the runtime. */
export const HISTOGRAM_BUCKETS = { [STEP_DURATION]: BUCKETS_S, [QUEUE_WAIT]: BUCKETS_S };

export interface StepEnd {
  readonly step: string;
  readonly seconds: number;
  /** The failure of the step; absent if the step succeeded. The code `cancelled` does not count as a failure. */
  readonly failure?: { readonly code: ErrorCode | 'cancelled'; readonly retryable: boolean };
}

/** Records the duration and the outcome of one attempt of a step. */
export function countStep({ step, seconds, failure }: StepEnd): void {
  const { metricMeter: meter } = Context.current();
  const outcome = failure === undefined ? 'done' : failure.code === 'cancelled' ? 'cancelled' : 'failed';
  meter
    .createHistogram(STEP_DURATION, 'float', undefined, 'How long attempts of steps took.')
    .record(seconds, { step, outcome });
  if (failure === undefined || outcome === 'cancelled') return;
  meter
    .createCounter(
      'longhaul_step_failures',
      undefined,
      'Failed attempts of steps. Temporal retries those with retryable="true".',
    )
    .add(1, { step, error_code: failure.code, retryable: failure.retryable });
}

/**
 * Records how long a task waited: the seconds from the insertion of the task's row until its step create worktree
 * begins the task.
 */
export function countQueueWait(seconds: number): void {
  Context.current()
    .metricMeter.createHistogram(QUEUE_WAIT, 'float', undefined, 'How long tasks waited for their turn.')
    .record(Math.max(0, seconds));
}
