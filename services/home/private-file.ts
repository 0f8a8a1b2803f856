/**
 * Reads small files that only their owner may read: the secrets of the home.
 *
 * Must never happen: a secret from a file of another user is used. That user would know the secret, or would choose the
 * server to which Longhaul connects.
 */
import { open, readFile } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { isErrno, LonghaulError } from '../../contract/errors.ts';

/**
 * Returns the text; `undefined` if the file does not exist. Fails with `invalid_input` if the file belongs neither to
 * the user of this process nor to root.
 */
export async function readOwnFile(file: string): Promise<string | undefined> {
  let handle: FileHandle;
  try {
    handle = await open(file, 'r');
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return undefined;
    throw error;
  }
  try {
    const { uid } = await handle.stat();
    if (!isTrustedOwner(uid)) throw foreignOwnerError(file, uid);
    return await readFile(handle, 'utf8');
  } finally {
    await handle.close();
  }
}

/** Whether files of this user may be used. Root is included, because it can read and write everything in any case. */
export const isTrustedOwner = (uid: number): boolean => uid === 0 || uid === process.getuid?.();

/** Returns the error for a file or folder that belongs to another user. */
export const foreignOwnerError = (path: string, uid: number): LonghaulError =>
  new LonghaulError(
    'invalid_input',
    `${path}: expected it to belong to the user of this process (uid ${process.getuid?.() ?? 'unknown'}), found uid ${uid}: find out why, then remove it or \`chown\` it.`,
  );
