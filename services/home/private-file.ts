/**
 * Small files that only their owner may read: the secrets of the home. Each is written completely or not at all.
 *
 * Never: a secret from a file of another user is used. That user would know it, or would choose the server to which
 * Longhaul connects.
 */
import { randomBytes } from 'node:crypto';
import { open, readFile, rename, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import type { FileHandle } from 'node:fs/promises';
import { isErrno, LonghaulError } from '../../contract/errors.ts';

/** Writes the file completely or not at all, and readable for its owner only. */
export async function writePrivately(file: string, text: string): Promise<void> {
  const temporary = join(dirname(file), `.${basename(file)}.${randomBytes(4).toString('hex')}`);
  try {
    const handle = await open(temporary, 'wx', 0o600);
    try {
      await handle.writeFile(text);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(temporary, file);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
}

/**
 * Returns the text; `undefined` if the file does not exist. Fails with `invalid_input` if the file belongs to another
 * user than this process or root.
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
