/** Where projects may lie (LONGHAUL_PROJECT_ROOTS). It holds for every way in, so whoever is about to go to a project asks here. */
import { realpath } from 'node:fs/promises';
import { sep } from 'node:path';
import { isErrno, LonghaulError } from '../workflows/errors.ts';

/** Fails with `project_outside_roots`. By real paths: a link does not lead out. No roots: anywhere. */
export async function refuseOutside(path: string, roots: readonly string[]): Promise<void> {
  if (roots.length === 0) return;
  const [real, ...allowed] = await Promise.all([path, ...roots].map(realOrItself));
  if (
    real !== undefined &&
    allowed.some((root) => real === root || real.startsWith(root.endsWith(sep) ? root : root + sep))
  )
    return;
  throw new LonghaulError(
    'project_outside_roots',
    `${path} is not under a folder that projects may lie in (LONGHAUL_PROJECT_ROOTS: ${roots.join(', ')}).`,
  );
}

/** What is not there is nowhere else. */
async function realOrItself(path: string): Promise<string> {
  try {
    return await realpath(path);
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENOTDIR')) return path;
    throw error;
  }
}
