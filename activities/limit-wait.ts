/**
 * Decides whether a task waits for the end of a provider's usage limit, and until when. It is a pure function without a
 * clock and a connection.
 */

/** The maximum number of waits. If a provider still refuses a task after so many waits, the limit is not the reason. */
export const MAX_WAITS = 10;
/**
 * The longest possible wait. The longest limits of providers last a week; a day is added because the provider's clock
 * may differ.
 */
const LONGEST_MS = 8 * 24 * 60 * 60_000;
/**
 * A reset time that is further in the past than this is ignored. Agents sometimes repeat an old message whose time is
 * hours ago. A time that is still older comes from a wrong clock, or does not belong to a limit.
 */
const STALE_MS = 24 * 60 * 60_000;
const SHORTEST_MS = 1_000;
const SHORTEST_GROWTH = 4;
const LONGEST_SHORTEST_MS = 60 * 60_000;

export interface LimitReached {
  /** The time at which the provider lifts the limit, as the agent reported it. */
  readonly resetsAt: Date;
  readonly now: Date;
  /** The number of earlier waits of the task. */
  readonly waits: number;
}

/**
 * Returns the time at which the task continues, or undefined if it does not wait. If the reported time is past or near,
 * the task waits for a minimum time, because providers sometimes lift a limit later than reported. The minimum grows
 * with each wait, up to an hour.
 */
export function limitWaitEnd({ resetsAt, now, waits }: LimitReached): Date | undefined {
  const aheadMs = resetsAt.getTime() - now.getTime();
  if (waits >= MAX_WAITS || aheadMs > LONGEST_MS || aheadMs < -STALE_MS) return undefined;
  const shortestMs = Math.min(SHORTEST_MS * SHORTEST_GROWTH ** waits, LONGEST_SHORTEST_MS);
  return new Date(now.getTime() + Math.max(aheadMs, shortestMs));
}
