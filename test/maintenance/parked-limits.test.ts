import { expect, test } from 'vitest';
import { beyondLimits, type ParkedLimits } from '../../maintenance/parked/limits.ts';

const DAY_MS = 86_400_000;
const ROOMY = { freeBytes: 500, totalBytes: 1_000 };
const LIMITS: ParkedLimits = { count: 10, days: 7, bytes: 1_000, freePercent: 10 };

const parked = (...sizes: number[]) =>
  sizes.map((bytes, at) => ({ worktreePath: `/w/${at}`, since: (at + 1) * 1_000, bytes }));

const ended = (...given: Parameters<typeof beyondLimits>) =>
  beyondLimits(...given).map(({ worktreePath, why }) => `${worktreePath} ${why}`);

test('within all limits no worktree ends', () => {
  expect(ended(parked(1, 1), LIMITS, { timeMs: 5_000, disk: ROOMY })).toEqual([]);
});

test.each([
  ['count', { count: 1 }, ROOMY, ['/w/0 count', '/w/1 count']],
  ['no worktree may be parked', { count: 0 }, ROOMY, ['/w/0 count', '/w/1 count', '/w/2 count']],
  ['bytes', { bytes: 450 }, ROOMY, ['/w/0 bytes']],
  ['disk', {}, { freeBytes: 0, totalBytes: 1_000 }, ['/w/0 disk']],
  ['disk that stays full', {}, { freeBytes: 0, totalBytes: 100_000 }, ['/w/0 disk', '/w/1 disk', '/w/2 disk']],
])('beyond %s the oldest end, and no more than needed', (_name, limits, disk, expected) => {
  const three = parked(200, 200, 200).toReversed();
  expect(ended(three, { ...LIMITS, ...limits }, { timeMs: 5_000, disk })).toEqual(expected);
});

test('a worktree that was idle for longer than the limit ends, however much room there is', () => {
  const now = { timeMs: 2_500 + 7 * DAY_MS, disk: ROOMY };
  expect(ended(parked(1, 1, 1), LIMITS, now)).toEqual(['/w/0 idle', '/w/1 idle']);
});
