/**
 * The journal of an action on a checkout: each path with its old and new content. The journal is stored in the database
 * before the first file is written, so that after a kill at any point the next attempt can complete the action or take
 * it back.
 */
import { z } from 'zod';
import { bytesOf } from '../worktrees/tree-diff.ts';
import type { FilePath } from '../worktrees/file-path.ts';

const objectId = z.string().regex(/^(?:[0-9a-f]{40}|[0-9a-f]{64})$/);
const side = z.object({ mode: z.string(), blob: objectId }).nullable();
const disk = z.union([
  z.null(),
  z.object({ kind: z.literal('file'), raw: objectId, perm: z.int() }),
  z.object({ kind: z.literal('link'), raw: objectId }),
]);

const entrySchema = z.object({
  path: z.string(),
  path_bytes: z.string().optional(),
  /**
   * Mode and blob in the repository's form, before the action (`old`) and after it (`new`). Null if the path does not
   * exist.
   */
  old: side,
  new: side,
  /** What is on disk before the action (`was`) and after it (`becomes`). */
  was: disk,
  becomes: disk,
});

export const journalSchema = z.object({
  /** The top folder of the checkout. */
  checkout: z.string(),
  /** The mirror that stores the blobs of the journal, and the ref that protects them from git's garbage collection. */
  mirror: z.string(),
  ref: z.string(),
  /** Whether the checkout keeps executable bits (core.fileMode). */
  modes: z.boolean(),
  entries: z.array(entrySchema),
});

export type Journal = z.infer<typeof journalSchema>;
export type JournalEntry = z.infer<typeof entrySchema>;
/** What a path has in the repository's form: the mode and blob of a git tree. Null if the path does not exist. */
export type Side = z.infer<typeof side>;

/** Returns the bytes of an entry's path, which is relative to the checkout's top folder. */
export const pathOf = ({ path, path_bytes: bytes }: Pick<JournalEntry, 'path' | 'path_bytes'>): Buffer =>
  bytesOf({ path, ...(bytes !== undefined && { path_bytes: bytes }) } satisfies FilePath);
