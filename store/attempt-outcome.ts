/**
 * Parses the recorded outcome of an attempt into the shape that the steps and the workflow expect. Any program may
 * write any JSON to `attempts.outcome`. An outcome of another shape fails its own task with a sentence that says so.
 * Such a turn is neither repeated nor taken as completed, because it is not known whether the turn has ended.
 */
import { isErrorCode } from '../contract/errors.ts';
import type { DispatchResult } from '../contract/steps.ts';

/**
 * The longest accepted wait: a century. Temporal refuses to start a timer of some thousand years, and the run would
 * then hang.
 */
const LONGEST_WAIT_MS = 100 * 366 * 24 * 60 * 60_000;
const SHOWN_CHARS = 200;

/** Returns `undefined` if the attempt has no outcome. */
export function outcomeIn(value: unknown, attempt: number): DispatchResult | undefined {
  if (value === null || value === undefined) return undefined;
  const found = typeof value === 'object' ? (value as Readonly<Record<string, unknown>>) : {};
  switch (found['kind']) {
    case 'completed':
      return { kind: 'completed', attempt };
    case 'waiting': {
      const until = timeIn(found['until']);
      if (until !== undefined) return { kind: 'waiting', until, attempt };
      break;
    }
    case 'hibernated': {
      const until = timeIn(found['until']);
      const { question } = found;
      return {
        kind: 'hibernated',
        attempt,
        ...(until === undefined ? {} : { until }),
        ...(typeof question === 'string' ? { question } : {}),
      };
    }
    case 'failed': {
      const { code, message } = found;
      if (isErrorCode(code) && typeof message === 'string') return { kind: 'failed', code, message, attempt };
      break;
    }
  }
  const shown = JSON.stringify(value).slice(0, SHOWN_CHARS);
  const message =
    `The recorded outcome of attempt ${attempt} (attempts.outcome): expected the kind completed, hibernated, waiting with a time, or ` +
    `failed with an error code and a message; found ${shown}. Another program wrote it. Submit the task again.`;
  return { kind: 'failed', code: 'internal_error', message, attempt };
}

/** Returns the time as ISO 8601. Returns undefined if the value is no time, or is too far in the future for a timer. */
export function timeIn(value: unknown): string | undefined {
  const ms = value instanceof Date ? value.getTime() : typeof value === 'string' ? Date.parse(value) : Number.NaN;
  return ms <= Date.now() + LONGEST_WAIT_MS ? new Date(ms).toISOString() : undefined;
}
