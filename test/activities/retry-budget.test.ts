/** Which failures are tried again, after which pause, and when that ends. */
import { expect, test } from 'vitest';
import { pauseBeforeRetry } from '../../activities/retry-budget.ts';
import { type ErrorCode, ERRORS } from '../../contract/errors.ts';

const HOUR_MS = 3_600_000;
const NONE = { count: 0, sinceFirstMs: 0 };
const ONE = { count: 1, sinceFirstMs: 60_000 };
const TWO = { count: 2, sinceFirstMs: 120_000 };

test.each<[ErrorCode, (number | undefined)[]]>([
  ['agent_crashed', [1_000, 5_000, undefined]],
  ['agent_stalled', [1_000, 5_000, undefined]],
  ['agent_start_timeout', [1_000, 5_000, undefined]],
  ['disk_full', [1_000, 5_000, undefined]],
  ['internal_error', [1_000, 5_000, undefined]],
  ['llm_unavailable', [5_000, 30_000, undefined]],
  ['llm_error', [undefined]],
  ['usage_limit', [undefined]],
  ['agent_needs_login', [undefined]],
  ['agent_refused', [undefined]],
  ['agent_not_installed', [undefined]],
  ['agent_protocol_error', [undefined]],
  ['option_not_available', [undefined]],
  ['turn_limit', [undefined]],
  ['output_overflow', [undefined]],
])('%s', (code, pauses) => {
  const failures = [NONE, ONE, TWO];
  expect(pauses).toEqual(failures.slice(0, pauses.length).map((before) => pauseBeforeRetry(code, before)));
});

test("a failure that is not the task's is retried without a limit", () => {
  for (const code of ['worker_lost', 'service_unreachable'] as const) {
    expect(ERRORS[code].retryable).toBe(true);
    expect(pauseBeforeRetry(code, { count: 20, sinceFirstMs: 100 * HOUR_MS })).toBe(1_000);
  }
});

test('no attempt begins more than twelve hours after the first failure', () => {
  expect(pauseBeforeRetry('agent_crashed', { count: 1, sinceFirstMs: 11.9 * HOUR_MS })).toBe(5_000);
  expect(pauseBeforeRetry('agent_crashed', { count: 1, sinceFirstMs: 12 * HOUR_MS })).toBeUndefined();
});
