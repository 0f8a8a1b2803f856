import { stat } from 'node:fs/promises';
import { isErrno } from '../contract/errors.ts';

/** Whether a file or folder exists. Rejects if that cannot be determined (no permission, a disk that does not respond). */
export async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    (error: unknown) => {
      if (isErrno(error, 'ENOENT', 'ENOTDIR')) return false;
      throw error;
    },
  );
}
