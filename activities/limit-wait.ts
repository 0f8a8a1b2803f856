/** Whether a task waits for a provider's usage limit to be lifted, and until when. Pure: no clock, no connection. */

/** A task that was refused this often after its waits is refused for another reason. */
export const MAX_WAITS = 10;
/** Providers' longest windows are weeks. A day more: such a time may be said by another clock. */
const LONGEST_MS = 8 * 24 * 60 * 60_000;
/** Stale words are known to name a time of hours ago; what is older is a wrong clock or no such time. */
const STALE_MS = 24 * 60 * 60_000;
const SHORTEST_MS = 1_000;
const SHORTEST_GROWTH = 4;
const LONGEST_SHORTEST_MS = 60 * 60_000;

export interface LimitReached {
  /** When it is lifted, in the agent's words. */
  readonly resetsAt: Date;
  readonly now: Date;
  /** How often the task has waited before. */
  readonly waits: number;
}

/**
 * Undefined: the task does not wait. A time that is past or near is waited for a little, each time longer, up to an hour:
 * limits are known to be lifted later than was said.
 */
export function waitUntil({ resetsAt, now, waits }: LimitReached): Date | undefined {
  const aheadMs = resetsAt.getTime() - now.getTime();
  if (waits >= MAX_WAITS || aheadMs > LONGEST_MS || aheadMs < -STALE_MS) return undefined;
  const shortestMs = Math.min(SHORTEST_MS * SHORTEST_GROWTH ** waits, LONGEST_SHORTEST_MS);
  return new Date(now.getTime() + Math.max(aheadMs, shortestMs));
}
