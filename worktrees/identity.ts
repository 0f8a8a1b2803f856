/**
 * The identity of a worktree's folder. Its path is not sufficient: a user or an agent may remove the folder, and a late
 * write, a clone or a link may put another one in its place. If Longhaul collected that other folder, the change would
 * delete every file. If Longhaul removed or reset the other folder, work of the user would be lost.
 *
 * A folder is identified by its inode number and its time of birth, because file systems reuse inode numbers at once.
 * The device number is not used, because it may change at a reboot. The content, including `.git`, is not used, because
 * the agent may change it.
 */
import { lstatSync } from 'node:fs';
import path from 'node:path';
import { z } from 'zod';
import { LonghaulError } from '../contract/errors.ts';
import { plainFile } from './plain-file.ts';
import { adminDirOf, orAbsentSync } from './repository.ts';

export const identitySchema = z.object({
  ino: z.string(),
  /** The time of birth in nanoseconds. Absent if the file system does not record it. */
  birth: z.string().optional(),
});
export type FolderIdentity = z.infer<typeof identitySchema>;

/** Returns the identity of a folder into which files were written after it was created. */
export function identityOf(folder: string): FolderIdentity {
  const { ino, birthtimeNs, ctimeNs } = lstatSync(folder, { bigint: true });
  // The folder has changed since its creation. If birth time and change time are equal, an old kernel returned the
  // change time as the birth time, so the birth time is unknown.
  const known = birthtimeNs > 0n && birthtimeNs !== ctimeNs;
  return { ino: String(ino), ...(known && { birth: String(birthtimeNs) }) };
}

interface Known {
  readonly worktreePath: string;
  /** The folder's identity. Absent in records that earlier versions wrote. */
  readonly identity?: FolderIdentity | undefined;
  readonly isCopy?: boolean | undefined;
}

/**
 * Returns a sentence on why the folder at the path is not the worktree that was created there; undefined if the folder
 * is that worktree, or if there is no folder.
 */
export function whyReplaced(
  { worktreePath, identity, isCopy }: Known,
  adminDir: string | undefined,
): string | undefined {
  const status = orAbsentSync(() => lstatSync(worktreePath, { bigint: true }));
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
    ? `the home was moved to another file system, so ${worktreePath} is a copy of the worktree's folder and cannot be distinguished from any other folder; \`git -C ${worktreePath} status\` shows what the agent has written`
    : `the worktree's folder ${worktreePath} was removed or moved, and another one is in its place`;
}

/**
 * Whether the worktree names this entry: in its `.git` file, or as a part of the mirror whose objects its `.git` folder
 * borrows.
 */
function leadsTo(worktreePath: string, adminDir: string): boolean {
  if (adminDirOf(worktreePath) === adminDir) return true;
  const borrowed = plainFile(path.join(worktreePath, '.git/objects/info/alternates'));
  return borrowed?.toString('utf8').trimEnd() === path.resolve(adminDir, '../../objects');
}

/** Returns the error `worktree_replaced`. `why` is a sentence without its full stop, as `whyReplaced` returns it. */
export function replacedError(why: string): LonghaulError {
  const what = `${why[0]?.toUpperCase() ?? ''}${why.slice(1)}`;
  return new LonghaulError(
    'worktree_replaced',
    `${what}. Nothing in it was collected, changed or removed; the agent's edits are lost unless they are in it or its folder was moved. Submit the task again.`,
  );
}
