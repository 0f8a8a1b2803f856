/**
 * Reads files in folders that an agent can change. An agent may put a pipe in the place of a file. A plain read of the
 * pipe would block the whole worker, because the read is synchronous and no program writes into the pipe.
 */
import { closeSync, constants, fstatSync, lstatSync, openSync, readFileSync } from 'node:fs';
import { isErrno } from '../contract/errors.ts';

/**
 * Reads the file at the path and returns its content. Follows links. Returns undefined if there is no file, if a
 * folder, a pipe or a socket is there, or if a link leads to itself.
 */
export function plainFile(file: string): Buffer | undefined {
  // Without O_NONBLOCK, the open of a pipe waits for a writer.
  let handle: number;
  try {
    handle = openSync(file, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch (error) {
    // ENXIO: a socket. ELOOP: a link to itself.
    if (isErrno(error, 'ENOENT', 'ENOTDIR', 'ENXIO', 'ELOOP')) return undefined;
    throw error;
  }
  try {
    return fstatSync(handle).isFile() ? readFileSync(handle) : undefined;
  } finally {
    closeSync(handle);
  }
}

/** Whether the path itself, not the target of a link, is a folder. */
export function isFolder(file: string): boolean {
  try {
    return lstatSync(file).isDirectory();
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENOTDIR')) return false;
    throw error;
  }
}
