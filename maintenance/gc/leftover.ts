/** One thing that lost machine state left, with the reason why it counts as a leftover, and its removal. */

export interface Leftover {
  readonly kind: 'worktree' | 'entry' | 'mirror' | 'ref' | 'process' | 'lock' | 'slot' | 'file';
  /** A path, a ref in a repository, a process. */
  readonly name: string;
  /** Why it is a leftover. */
  readonly reason: string;
  /** Why `gc` does not remove it, and what to do about it; undefined: `gc` removes it. */
  readonly kept?: string;
  /** Returns a note on the removal, or why the leftover stays after all. */
  remove(): Promise<Removal>;
}

export type Removal =
  { readonly kind: 'removed'; readonly note?: string } | { readonly kind: 'kept'; readonly why: string };

export const REMOVED: Removal = { kind: 'removed' };

export interface GcOptions {
  /** Worktrees that hold work which is in no commit go, too. */
  readonly removeKept: boolean;
  /** Refs of unknown tasks go, too, if they are at least this old; undefined: they stay. */
  readonly refsOlderThanDays?: number;
}

export const HOUR_MS = 3_600_000;
export const DAY_MS = 24 * HOUR_MS;
