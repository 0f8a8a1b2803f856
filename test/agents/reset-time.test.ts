/** Every form in which agents are known to say when a limit is lifted, and what is none. */
import { describe, expect, test } from 'vitest';
import { resetTime } from '../../agents/reset-time.ts';

/** A Tuesday afternoon in winter: 16:00 in Berlin. */
const NOW = '2026-11-24T15:00:00Z';
const read = (words: string, { now = NOW, zone = 'Europe/Berlin' } = {}): string | undefined =>
  resetTime({ text: words, now: new Date(now), zone })?.toISOString();

describe('a message with a time', () => {
  test.each([
    ['Claude AI usage limit reached|1795600800', '2026-11-25T10:00:00.000Z'],
    ["Internal error: You've hit your limit · resets 5pm (Europe/Berlin)", '2026-11-24T16:00:00.000Z'],
    ["You've hit your limit · resets 1:30am (Asia/Dhaka)", '2026-11-24T19:30:00.000Z'],
    ["You've hit your session limit · resets 8:30am (America/Los_Angeles)", '2026-11-24T16:30:00.000Z'],
    ['5-hour limit reached ∙ resets 3pm', '2026-11-25T14:00:00.000Z'],
    ['Claude usage limit reached. Your limit will reset at 3pm (America/Bogota).', '2026-11-24T20:00:00.000Z'],
    ['Your limit will reset at 1pm (Etc/GMT+5)', '2026-11-24T18:00:00.000Z'],
    ["You've hit your weekly limit · resets Nov 27 at 4:30am (Asia/Calcutta)", '2026-11-26T23:00:00.000Z'],
    ["You've hit your weekly limit · resets Nov 30 at 7pm", '2026-11-30T18:00:00.000Z'],
    ['Resets Nov 29, 10:59am (America/New_York)', '2026-11-29T15:59:00.000Z'],
    [
      'You have reached your specified API usage limits. You will regain access on 2026-12-01 at 00:00 UTC.',
      '2026-12-01T00:00:00.000Z',
    ],
    [
      "You've hit your usage limit. Upgrade to Pro (https://openai.com/chatgpt/pricing) or try again in 5 days 22 hours 11 minutes.",
      '2026-11-30T13:12:00.000Z',
    ],
    ["You've hit your usage limit. Try again in 1 hour 5 minutes.", '2026-11-24T16:06:00.000Z'],
    ["You've hit your usage limit. Try again in less than a minute.", '2026-11-24T15:01:00.000Z'],
    [
      "You've hit your usage limit. Visit https://chatgpt.com/codex/settings/usage to purchase more credits or try again at 11:05 PM.",
      '2026-11-24T22:05:00.000Z',
    ],
    ["You've hit your usage limit. Try again at Nov 28th, 2026 9:23 PM.", '2026-11-28T20:23:00.000Z'],
    ['Please try again at Nov 28th, 2026 12:55 AM.', '2026-11-27T23:55:00.000Z'],
    [
      '{"error":{"type":"usage_limit_reached","message":"The usage limit has been reached","plan_type":"plus","resets_at":1795539672,"resets_in_seconds":7272}}',
      '2026-11-24T17:01:12.000Z',
    ],
    [
      String.raw`Codex error: {\"error\":{\"type\":\"usage_limit_reached\",\"resets_in_seconds\":13872}}`,
      '2026-11-24T18:51:12.000Z',
    ],
    ['{"rate_limit":{"resetsAt":"2026-11-24T18:30:00Z"}}', '2026-11-24T18:30:00.000Z'],
    [
      'You have exhausted your capacity on this model. Your quota will reset after 12h34m16s.',
      '2026-11-25T03:34:16.000Z',
    ],
    ['Your quota will reset after 2h13m.', '2026-11-24T17:14:00.000Z'],
    ['429 You exceeded your current quota. Please retry in 38.601658672s.', '2026-11-24T15:00:38.601Z'],
    ['"details":[{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"59s"}]', '2026-11-24T15:00:59.000Z'],
    [
      'RESOURCE_EXHAUSTED: Individual quota reached. Resets in 2 days, 3 hours and 1 minute',
      '2026-11-26T18:02:00.000Z',
    ],
    ['429 too many requests, retry-after: 30', '2026-11-24T15:00:30.000Z'],
    ['"headers":{"retry-after":"90","date":"x"}', '2026-11-24T15:01:30.000Z'],
    ['"retry-after-ms":"1500"', '2026-11-24T15:00:01.500Z'],
    ['retry-after: Wed, 25 Nov 2026 07:28:00 GMT', '2026-11-25T07:28:00.000Z'],
    ['rate limit: try again at 18:45', '2026-11-24T17:45:00.000Z'],
    ['rate limit: try again at 18:45 UTC', '2026-11-24T18:45:00.000Z'],
  ])('%s', (words, expected) => {
    expect(read(words)).toBe(expected);
  });
});

describe('a message without a time', () => {
  test.each([
    'usage limit reached',
    "You've hit your usage limit. Try again later.",
    'or wait for limits to reset (every 5h and every week.)',
    '429 You exceeded your current quota',
    'try again in a few minutes',
    'resets soon',
    'resets 3',
    'try again at 3',
    'try again at 25:10',
    'resets 13pm',
    'resets 0am',
    'resets 9:75pm',
    'try again at 10 de jul. de 2026, 11:52',
    "You've hit your limit · resets 3pm (Middle/Earth)",
    "You've hit your limit · resets 3pm (your time)",
    'the build of 3pm resets the cache',
    'usage limit reached|12345',
    'usage limit reached|17629524001',
    'retry in 5 fortnights',
    'retry in 5 months',
    '"resets_at":null',
    '"resets_at":"soon"',
    '',
  ])('%s', (words) => {
    expect(read(words)).toBeUndefined();
  });

  test('a message with two different times', () => {
    expect(read('primary: resets 5pm, secondary: resets 9pm')).toBeUndefined();
    expect(read('resets 5pm, that is resets 5pm')).toBe('2026-11-24T16:00:00.000Z');
  });
});

describe('a time of day without a date', () => {
  test.each([
    ['is the next one', '2026-11-24T15:00:00Z', 'resets 5pm (UTC)', '2026-11-24T17:00:00.000Z'],
    ['tomorrow, if it is over for today', '2026-11-24T18:00:00Z', 'resets 5pm (UTC)', '2026-11-25T17:00:00.000Z'],
    ['that was a moment ago is meant', '2026-11-24T17:03:00Z', 'resets 5pm (UTC)', '2026-11-24T17:00:00.000Z'],
    ['that was a moment before midnight', '2026-11-25T00:03:00Z', 'resets 11:59pm (UTC)', '2026-11-24T23:59:00.000Z'],
    ['midnight is 12am', '2026-11-24T18:00:00Z', 'resets 12am (UTC)', '2026-11-25T00:00:00.000Z'],
    ['noon is 12pm', '2026-11-24T10:00:00Z', 'resets 12pm (UTC)', '2026-11-24T12:00:00.000Z'],
    ['of the next day there', '2026-11-24T15:30:00Z', 'resets 1am (Asia/Tokyo)', '2026-11-24T16:00:00.000Z'],
    ['after the clocks go back', '2026-10-24T22:00:00Z', 'resets 9am (Europe/Berlin)', '2026-10-25T08:00:00.000Z'],
    ['after the clocks go forward', '2026-03-28T22:00:00Z', 'resets 9am (Europe/Berlin)', '2026-03-29T07:00:00.000Z'],
    ['at the end of a month', '2026-11-30T18:00:00Z', 'resets 5pm (UTC)', '2026-12-01T17:00:00.000Z'],
  ])('%s', (_title, now, words, expected) => {
    expect(read(words, { now })).toBe(expected);
  });
});

test('a date without a year is the nearest one, in the zone that is named', () => {
  expect(read('resets Jan 2 at 5pm (UTC)', { now: '2026-12-30T00:00:00Z' })).toBe('2027-01-02T17:00:00.000Z');
  expect(read('resets Nov 24 at 5am (UTC)')).toBe('2026-11-24T05:00:00.000Z');
  expect(read('resets Jan 1 at 1am (Asia/Tokyo)', { now: '2026-12-31T15:30:00Z' })).toBe('2026-12-31T16:00:00.000Z');
});

test("a time without a zone is in the machine's zone", () => {
  expect(read('try again at 11:05 PM', { zone: 'America/New_York' })).toBe('2026-11-25T04:05:00.000Z');
});
