/**
 * Checks that a project lies in one of the configured folders (LONGHAUL_PROJECT_ROOTS). All code that is about to use a
 * project's folder makes this check, so the check holds for each way to submit a task.
 */
import { realpath } from 'node:fs/promises';
import { resolve, sep } from 'node:path';
import { isErrno, LonghaulError } from '../contract/errors.ts';

/**
 * Fails with `project_outside_roots`. It compares real paths, so a symbolic link cannot lead outside. Without roots a
 * project may lie anywhere.
 */
export async function refuseOutside(path: string, roots: readonly string[]): Promise<void> {
  if (roots.length === 0) return;
  const [real, ...allowed] = await Promise.all([path, ...roots].map(realOrItself));
  const isIn = (root: string | undefined): boolean =>
    root !== undefined && (real === root || real?.startsWith(root.endsWith(sep) ? root : root + sep) === true);
  if (real !== undefined && allowed.some(isIn)) return;
  throw new LonghaulError(
    'project_outside_roots',
    `${path} is not under a folder that projects may lie in (LONGHAUL_PROJECT_ROOTS: ${roots.join(', ')}).`,
  );
}

/**
 * Returns the real path, or the path itself if it does not exist. Returns undefined if the path cannot be resolved,
 * because it may then lead anywhere.
 */
async function realOrItself(path: string): Promise<string | undefined> {
  try {
    return await realpath(path);
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENOTDIR')) return resolve(path);
    if (isErrno(error, 'EACCES', 'EPERM', 'ELOOP', 'ENAMETOOLONG')) return undefined;
    throw error;
  }
}
