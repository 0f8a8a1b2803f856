/** Whether and until when a task waits for a limit whose end was said. */
import { expect, test } from 'vitest';
import { MAX_WAITS, limitWaitEnd } from '../../activities/limit-wait.ts';

const NOW = new Date('2026-11-24T15:00:00Z');
const SECOND = 1_000;
const HOUR = 3_600 * SECOND;
const DAY = 24 * HOUR;

/** How long it waits; undefined: it does not. */
function waitMs(aheadMs: number, waits = 0): number | undefined {
  const until = limitWaitEnd({ resetsAt: new Date(NOW.getTime() + aheadMs), now: NOW, waits });
  return until && until.getTime() - NOW.getTime();
}

test('waits until the reported time', () => {
  expect(waitMs(3 * SECOND)).toBe(3 * SECOND);
  expect(waitMs(5 * HOUR)).toBe(5 * HOUR);
  expect(waitMs(7 * DAY, MAX_WAITS - 1)).toBe(7 * DAY);
});

test('waits briefly if the reported time is past, longer each time, at most an hour', () => {
  const waited = Array.from({ length: MAX_WAITS }, (_, waits) => (waitMs(-HOUR, waits) ?? 0) / SECOND);
  expect(waited).toEqual([1, 4, 16, 64, 256, 1024, 3600, 3600, 3600, 3600]);
  expect(waitMs(2 * SECOND, 3)).toBe(64 * SECOND);
});

test('does not wait for more than eight days, by a message of the day before, or more than ten times', () => {
  expect(waitMs(8 * DAY)).toBe(8 * DAY);
  expect(waitMs(8 * DAY + SECOND)).toBeUndefined();
  expect(waitMs(-DAY)).toBe(SECOND);
  expect(waitMs(-DAY - SECOND)).toBeUndefined();
  expect(waitMs(HOUR, MAX_WAITS)).toBeUndefined();
});
