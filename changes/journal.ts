/**
 * The journal of an action on a checkout. The store has it before the first file is written, so that the action can be
 * completed or taken back after a kill at any point.
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
  /** Mode and blob in the repository's form, before and after. Null: the path did not exist. */
  old: side,
  new: side,
  /** What is on disk before and after. */
  was: disk,
  becomes: disk,
});

export const journalSchema = z.object({
  /** The top folder of the checkout. */
  checkout: z.string(),
  /** The mirror that has the blobs, and the ref that keeps them. */
  mirror: z.string(),
  ref: z.string(),
  /** Whether the checkout keeps executable bits (core.fileMode). */
  modes: z.boolean(),
  entries: z.array(entrySchema),
});

export type Journal = z.infer<typeof journalSchema>;
export type JournalEntry = z.infer<typeof entrySchema>;
/** A path's content in the repository's form; null: the path does not exist. */
export type Side = z.infer<typeof side>;

/** The bytes of an entry's path, relative to the checkout's top folder. */
export const pathOf = ({ path, path_bytes: bytes }: Pick<JournalEntry, 'path' | 'path_bytes'>): Buffer =>
  bytesOf({ path, ...(bytes !== undefined && { path_bytes: bytes }) } satisfies FilePath);
