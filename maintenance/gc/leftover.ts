/** One leftover of lost machine state, with the reason why it counts as a leftover and the function that removes it. */

export interface Leftover {
  readonly kind: 'worktree' | 'entry' | 'mirror' | 'ref' | 'process' | 'lock' | 'slot' | 'file';
  /** A path, a ref in a repository, or a process. */
  readonly name: string;
  /** Why it is a leftover. */
  readonly reason: string;
  /** Why `gc` does not remove it, and what the user can do. Absent if `gc` removes it. */
  readonly kept?: string;
  /** Removes it. Returns a note on the removal, or why the leftover was kept. */
  remove(): Promise<Removal>;
}

export type Removal =
  { readonly kind: 'removed'; readonly note?: string } | { readonly kind: 'kept'; readonly why: string };

export const REMOVED: Removal = { kind: 'removed' };

export interface GcOptions {
  /** Whether `gc` also removes worktrees with work that is in no commit. */
  readonly removeKept: boolean;
  /** The minimum age of refs of unknown tasks that `gc` removes. If absent, `gc` removes none of them. */
  readonly refsOlderThanDays?: number;
}

export const HOUR_MS = 3_600_000;
export const DAY_MS = 24 * HOUR_MS;
