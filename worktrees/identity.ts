/**
 * Which folder a worktree is. Its path does not tell: a user or an agent may remove the folder and another one may come to
 * be in its place, by one more file that is written there, by a clone or a link. Collected, that would be a change that
 * deletes every file; removed or reset, the work of a user would be lost.
 *
 * A folder is told by its inode number and its time of birth, since an inode number is used again at once. Not by its
 * device's number, which may be another one after a reboot. What is inside, its `.git` too, is the agent's to change.
 */
import { lstatSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { z } from 'zod';
import { LonghaulError } from '../contract/errors.ts';
import { adminDirOf, ifThere } from './repository.ts';

export const identitySchema = z.object({
  ino: z.string(),
  /** In nanoseconds. Absent where the file system has none. */
  birth: z.string().optional(),
});
export type FolderIdentity = z.infer<typeof identitySchema>;

/** Of a folder that has been filled. */
export function identityOf(folder: string): FolderIdentity {
  const { ino, birthtimeNs, ctimeNs } = lstatSync(folder, { bigint: true });
  // Filled since it was made, it has changed: the same time for both is the one time that an old kernel gives.
  const known = birthtimeNs > 0n && birthtimeNs !== ctimeNs;
  return { ino: String(ino), ...(known && { birth: String(birthtimeNs) }) };
}

interface Known {
  readonly worktreePath: string;
  /** Absent in records of earlier versions. */
  readonly identity?: FolderIdentity | undefined;
  readonly isCopy?: boolean | undefined;
}

/** Why what is at the path is not the worktree that was made there, as a sentence. undefined: it is, or nothing is there. */
export function replacement(
  { worktreePath, identity, isCopy }: Known,
  adminDir: string | undefined,
): string | undefined {
  const status = ifThere(() => lstatSync(worktreePath, { bigint: true }));
  if (status === undefined) return undefined;
  if (!status.isDirectory()) return `${worktreePath} is no longer a folder, but a link or a file that took its place`;
  if (identity === undefined) return undefined;
  const isSame =
    String(status.ino) === identity.ino &&
    (identity.birth === undefined
      ? adminDir !== undefined && leadsTo(worktreePath, adminDir)
      : String(status.birthtimeNs) === identity.birth);
  if (isSame) return undefined;
  return isCopy
    ? `the home was moved to another file system, so ${worktreePath} is a copy of the worktree's folder and cannot be told from any other; \`git -C ${worktreePath} status\` shows what the agent has written`
    : `the worktree's folder ${worktreePath} was removed or moved, and another one is in its place`;
}

/** By a `.git` file, or by the mirror whose objects a `.git` folder borrows. */
function leadsTo(worktreePath: string, adminDir: string): boolean {
  if (adminDirOf(worktreePath) === adminDir) return true;
  const borrowed = ifThere(() => readFileSync(path.join(worktreePath, '.git/objects/info/alternates'), 'utf8'));
  return borrowed?.trimEnd() === path.resolve(adminDir, '../../objects');
}

export function replaced(why: string): LonghaulError {
  const what = `${why[0]?.toUpperCase() ?? ''}${why.slice(1)}`;
  return new LonghaulError(
    'worktree_replaced',
    `${what}. Nothing in it was collected, changed or removed; the agent's edits are lost unless they are in it or its folder was moved. Submit the task again.`,
  );
}
