/** Decides whether a task waits for the end of a provider's usage limit, and until when. Pure: no clock, no connection. */

/** A provider that refuses a task after this many waits has another reason than the limit. */
export const MAX_WAITS = 10;
/** The longest windows of providers are a week. One day is added, because the time is of the provider's clock. */
const LONGEST_MS = 8 * 24 * 60 * 60_000;
/** Agents sometimes repeat an old message, whose time is hours ago. An older time is of a wrong clock, or not of a limit. */
const STALE_MS = 24 * 60 * 60_000;
const SHORTEST_MS = 1_000;
const SHORTEST_GROWTH = 4;
const LONGEST_SHORTEST_MS = 60 * 60_000;

export interface LimitReached {
  /** When the provider lifts the limit, as the agent reported it. */
  readonly resetsAt: Date;
  readonly now: Date;
  /** The number of earlier waits of the task. */
  readonly waits: number;
}

/**
 * Returns when the task continues. Undefined: the task does not wait. If the time is past or near, the task waits a minimum
 * that grows with each wait, up to an hour, because providers sometimes lift a limit later than reported.
 */
export function waitUntil({ resetsAt, now, waits }: LimitReached): Date | undefined {
  const aheadMs = resetsAt.getTime() - now.getTime();
  if (waits >= MAX_WAITS || aheadMs > LONGEST_MS || aheadMs < -STALE_MS) return undefined;
  const shortestMs = Math.min(SHORTEST_MS * SHORTEST_GROWTH ** waits, LONGEST_SHORTEST_MS);
  return new Date(now.getTime() + Math.max(aheadMs, shortestMs));
}
