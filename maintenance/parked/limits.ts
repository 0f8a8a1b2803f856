/** Decides which parked worktrees of a host are removed: the oldest first, until no limit is exceeded. */

export interface ParkedLimits {
  /** The maximum number of parked worktrees. With 0 each worktree is removed after its task. */
  readonly count: number;
  readonly days: number;
  readonly bytes: number;
  /** The part of the disk that must stay free, in percent. */
  readonly freePercent: number;
}

export interface ParkedWorktree {
  readonly worktreePath: string;
  /** The time at which the worktree was parked, in milliseconds since 1970. */
  readonly since: number;
  readonly bytes: number;
}

export interface Disk {
  readonly freeBytes: number;
  readonly totalBytes: number;
}

export type ParkedEnd = ParkedWorktree & { readonly why: 'idle' | 'count' | 'bytes' | 'disk' };

const DAY_MS = 24 * 3_600_000;

/** Returns the worktrees to remove, the oldest first, each with the limit that it exceeds. Removes nothing. */
export function beyondLimits(
  parked: readonly ParkedWorktree[],
  limits: ParkedLimits,
  now: { readonly timeMs: number; readonly disk: Disk },
): ParkedEnd[] {
  const ends: ParkedEnd[] = [];
  let stay = [...parked].sort((a, b) => a.since - b.since);
  let free = now.disk.freeBytes;
  const needed = (now.disk.totalBytes * limits.freePercent) / 100;
  const reason = (oldest: ParkedWorktree): ParkedEnd['why'] | undefined => {
    if (now.timeMs - oldest.since > limits.days * DAY_MS) return 'idle';
    if (stay.length > limits.count) return 'count';
    if (stay.reduce((sum, one) => sum + one.bytes, 0) > limits.bytes) return 'bytes';
    return free < needed ? 'disk' : undefined;
  };
  for (let oldest = stay[0]; oldest !== undefined; oldest = stay[0]) {
    const why = reason(oldest);
    if (why === undefined) break;
    ends.push({ ...oldest, why });
    free += oldest.bytes;
    stay = stay.slice(1);
  }
  return ends;
}
