/**
 * The type of a leftover of lost machine state. It has the reason why it is a leftover, and the function that removes
 * it.
 */

export interface Leftover {
  readonly kind: 'worktree' | 'entry' | 'mirror' | 'ref' | 'process' | 'lock' | 'slot' | 'file';
  /** The leftover's path, its ref and repository, or its process. */
  readonly name: string;
  /** Why it is a leftover. */
  readonly reason: string;
  /** Why `gc` does not remove the leftover, and what the user can do. Absent if `gc` removes it. */
  readonly kept?: string;
  /** Removes the leftover. Returns a note on the removal, or why the leftover was kept. */
  remove(): Promise<Removal>;
}

export type Removal =
  { readonly kind: 'removed'; readonly note?: string } | { readonly kind: 'kept'; readonly why: string };

export const REMOVED: Removal = { kind: 'removed' };

export interface GcOptions {
  /** Whether `gc` also removes worktrees with work that is in no commit. */
  readonly removeKept: boolean;
  /**
   * The minimum age in days of the refs of unknown tasks that `gc` removes. If it is omitted, `gc` removes none of
   * them.
   */
  readonly refsOlderThanDays?: number;
}

export const HOUR_MS = 3_600_000;
export const DAY_MS = 24 * HOUR_MS;
