/** The arithmetic of the figures: percentiles, comparisons in pairs, slopes. */

/**
 * Returns a quantile by linear interpolation between the two nearest ranks, as most tools do. `part` is from 0 to 1.
 */
export function percentile(values: readonly number[], part: number): number {
  if (values.length === 0) throw new RangeError('no values: expected at least one');
  const sorted = values.toSorted((a, b) => a - b);
  const position = (sorted.length - 1) * part;
  const below = sorted[Math.floor(position)] ?? Number.NaN;
  const above = sorted[Math.ceil(position)] ?? Number.NaN;
  return below + (above - below) * (position - Math.floor(position));
}

export const median = (values: readonly number[]): number => percentile(values, 0.5);

export interface Spread {
  readonly p50: number;
  readonly p95: number;
}

export const spread = (values: readonly number[]): Spread => ({
  p50: percentile(values, 0.5),
  p95: percentile(values, 0.95),
});

export interface Pair {
  /** Longhaul's value. */
  readonly a: number;
  /** The value that is compared with `a`, measured right before or after it. */
  readonly b: number;
}

export interface PairedSpread {
  readonly a: Spread;
  readonly b: Spread;
  /**
   * The spread of a − b over all pairs. If the machine is slow for a while, this affects both values of a pair and
   * cancels out.
   */
  readonly excess: Spread;
  /** The median of a / b over all pairs. */
  readonly ratio: number;
}

export function paired(pairs: readonly Pair[]): PairedSpread {
  return {
    a: spread(pairs.map(({ a }) => a)),
    b: spread(pairs.map(({ b }) => b)),
    excess: spread(pairs.map(({ a, b }) => a - b)),
    ratio: median(pairs.map(({ a, b }) => a / b)),
  };
}

interface Sides<T> {
  readonly a: (index: number) => Promise<T>;
  readonly b: (index: number) => Promise<T>;
}

/** Runs both sides `n` times in alternating order, so that neither side always runs on the warmer machine. */
export async function alternate(n: number, { a, b }: Sides<void>): Promise<void> {
  for (let index = 0; index < n; index += 1) {
    for (const side of index % 2 === 0 ? [a, b] : [b, a]) await side(index);
  }
}

/** Measures `n` pairs, in the alternating order of `alternate`. */
export async function measurePairs(n: number, { a, b }: Sides<number>): Promise<Pair[]> {
  const pairs: { a: number; b: number }[] = Array.from({ length: n }, () => ({ a: Number.NaN, b: Number.NaN }));
  const into = (side: 'a' | 'b', measure: (index: number) => Promise<number>) => async (index: number) => {
    const pair = pairs[index];
    if (pair) pair[side] = await measure(index);
  };
  await alternate(n, { a: into('a', a), b: into('b', b) });
  return pairs;
}

export interface Point {
  readonly x: number;
  readonly y: number;
}

/** Returns the slope of the regression line (least squares), or 0 for fewer than two points. */
export function slope(points: readonly Point[]): number {
  const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;
  const [x, y] = [mean(points.map((point) => point.x)), mean(points.map((point) => point.y))];
  const spreadX = points.reduce((sum, point) => sum + (point.x - x) ** 2, 0);
  if (spreadX === 0) return 0;
  return points.reduce((sum, point) => sum + (point.x - x) * (point.y - y), 0) / spreadX;
}
