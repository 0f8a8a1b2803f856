import { stat } from 'node:fs/promises';
import { isErrno } from '../contract/errors.ts';

/**
 * Returns whether a file or folder exists. Rejects if the check fails, for example without permission or on a disk that
 * does not respond.
 */
export async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    (error: unknown) => {
      if (isErrno(error, 'ENOENT', 'ENOTDIR')) return false;
      throw error;
    },
  );
}
