/** Where projects may lie (LONGHAUL_PROJECT_ROOTS). It holds for every way in, so whoever is about to go to a project asks here. */
import { realpath } from 'node:fs/promises';
import { resolve, sep } from 'node:path';
import { isErrno, LonghaulError } from '../workflows/errors.ts';

/** Fails with `project_outside_roots`. By real paths: a link does not lead out. No roots: anywhere. */
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

/** What is not there is nowhere else; what cannot be followed to its end may be anywhere: `undefined`. */
async function realOrItself(path: string): Promise<string | undefined> {
  try {
    return await realpath(path);
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENOTDIR')) return resolve(path);
    if (isErrno(error, 'EACCES', 'EPERM', 'ELOOP', 'ENAMETOOLONG')) return undefined;
    throw error;
  }
}
