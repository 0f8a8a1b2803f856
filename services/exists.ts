import { stat } from 'node:fs/promises';
import { isErrno } from '../contract/errors.ts';

/** Rejects where that cannot be said (no permission, a disk that does not answer). */
export async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    (error: unknown) => {
      if (isErrno(error, 'ENOENT')) return false;
      throw error;
    },
  );
}
