import { describe, expect, test } from 'vitest';
import { isMet, json, type Line, machine, type Result, table } from '../../bench/report.ts';
import { measurePairs, median, paired, percentile, slope, spread } from '../../bench/statistics.ts';

const oneTo = (count: number): number[] => Array.from({ length: count }, (_, index) => index + 1);

describe('the slope', () => {
  test('is that of the nearest line, and none where there is no line', () => {
    expect(slope([1, 2, 3].map((x) => ({ x, y: 10 + 5 * x })))).toBeCloseTo(5);
    expect(slope([0, 1, 2, 3].map((x) => ({ x, y: x % 2 })))).toBeCloseTo(0.2);
    expect(slope([{ x: 1, y: 2 }])).toBe(0);
  });
});

describe('percentiles', () => {
  test('lie between the nearest ranks, in any order of the values', () => {
    expect(spread(oneTo(101).toReversed())).toEqual({ p50: 51, p95: 96 });
    expect(percentile([10, 20], 0.95)).toBeCloseTo(19.5);
    expect(median([4, 1, 3, 2])).toBe(2.5);
  });

  test('of one value are that value, of none an error', () => {
    expect(spread([7])).toEqual({ p50: 7, p95: 7 });
    expect(() => median([])).toThrow('expected at least one');
  });

  test('leave the values as they were', () => {
    const values = [3, 1, 2];
    median(values);
    expect(values).toEqual([3, 1, 2]);
  });
});

describe('pairs', () => {
  test('a slow moment of the machine that affects both sides is no excess', () => {
    const pairs = [100, 100, 900].map((b) => ({ a: b + 50, b }));
    const { excess, a, ratio } = paired(pairs);
    expect(excess).toEqual({ p50: 50, p95: 50 });
    expect(a.p50).toBe(150);
    expect(ratio).toBe(1.5);
  });

  test('the excess is the median of the differences, not the difference of the medians', () => {
    const pairs = [
      { a: 10, b: 9 },
      { a: 20, b: 0 },
      { a: 30, b: 28 },
    ];
    expect(paired(pairs).excess.p50).toBe(2);
  });

  test('the two sides alternate in going first, and each value stays with its side and its pair', async () => {
    const order: string[] = [];
    const side = (name: string, plus: number) => async (index: number) => {
      order.push(`${name}${index}`);
      return index + plus;
    };
    const pairs = await measurePairs(3, { a: side('a', 100), b: side('b', 0) });
    expect(order).toEqual(['a0', 'b0', 'b1', 'a1', 'a2', 'b2']);
    expect(pairs).toEqual([
      { a: 100, b: 0 },
      { a: 101, b: 1 },
      { a: 102, b: 2 },
    ]);
  });
});

describe('the report', () => {
  const line = (target: Line['target'], p50 = 60): Line => ({
    what: 'row → process',
    n: 5,
    unit: 'ms',
    figures: { p50 },
    ...(target ? { target } : {}),
  });

  test('a value equal to the bound meets the target', () => {
    expect(isMet(line({ figure: 'p50', atMost: 60 }))).toBe(true);
    expect(isMet(line({ figure: 'p50', atMost: 60 }, 60.1))).toBe(false);
    expect(isMet(line({ figure: 'p50', atLeast: 60 }))).toBe(true);
    expect(isMet(line({ figure: 'p50', atLeast: 60 }, 59.9))).toBe(false);
    expect(isMet(line(undefined))).toBeUndefined();
  });

  test('a figure that is not a number has not met its target', () => {
    expect(isMet(line({ figure: 'p50', atMost: 60 }, Number.NaN))).toBe(false);
  });

  const result: Result = {
    name: 'spawn',
    seconds: 12.4,
    conditions: ['warm'],
    lines: [line({ figure: 'p50', atMost: 60 }, 1234.5), line(undefined, 0.126)],
  };

  test('the table has name, figures, targets and conditions', () => {
    expect(table(result)).toBe(
      [
        'spawn (12 s)',
        '  what           n  figures      target',
        '  row → process  5  p50 1235 ms  p50 ≤ 60: missed',
        '  row → process  5  p50 0.13 ms',
        '  · warm',
        '',
      ].join('\n'),
    );
  });

  test('round numbers keep their zeros', () => {
    expect(table({ ...result, lines: [line(undefined, 1_000), line(undefined, 20), line(undefined, 0)] })).toMatch(
      /p50 1000 ms[^]*p50 20 ms[^]*p50 0 ms/,
    );
  });

  test('the JSON says which targets are met, and on which machine', () => {
    const parsed: unknown = JSON.parse(json(machine('abc'), [result]));
    expect(parsed).toMatchObject({
      machine: { commit: 'abc', node: process.version },
      results: [{ name: 'spawn', lines: [{ met: false }, { figures: { p50: 0.126 } }] }],
    });
  });
});
