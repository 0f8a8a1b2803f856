/**
 * Confines paths that the model names to the working directory by their real path. A link that leads out of the
 * directory is refused, and so is `..`. Not covered: a link that another process creates between the check and the use,
 * and the effects of commands that the model runs.
 */
import { realpathSync } from 'node:fs';
import { basename, dirname, join, relative, resolve, sep } from 'node:path';
import { isErrno } from '../../../contract/errors.ts';

/** Refuses a call. The message is a sentence for the model. The call had no effect. */
export class ToolRefusal extends Error {}

export interface ConfinedPath {
  /** The real path. The last folders of it, and the file, need not exist. */
  readonly path: string;
  /** The path relative to the working directory, or `.` for the directory itself. */
  readonly shown: string;
}

/** Resolves a path that the model named. `cwd` must be a real path. */
export function confine(cwd: string, named: string): ConfinedPath {
  if (named.includes('\0')) throw new ToolRefusal('path: expected a path, found a NUL character in it.');
  const path = realOf(resolve(cwd, named));
  const inner = relative(cwd, path);
  if (inner === '..' || inner.startsWith(`..${sep}`)) {
    throw new ToolRefusal(`${named} is outside of the working directory ${cwd}. Name a path inside of it.`);
  }
  return { path, shown: inner === '' ? '.' : inner };
}

/** Resolves a path for a write. It also refuses the working directory itself and git's own files. */
export function confineForWriting(cwd: string, named: string): ConfinedPath {
  const confined = confine(cwd, named);
  if (confined.shown === '.') throw new ToolRefusal(`${named}: expected a file, found the working directory.`);
  if (confined.shown.split(sep).some((part) => part.toLowerCase() === '.git')) {
    throw new ToolRefusal(`${named} belongs to git and is not written to.`);
  }
  return confined;
}

/** Returns the real path of the existing part, followed by the parts that do not exist. */
function realOf(path: string): string {
  try {
    return realpathSync(path);
  } catch (error) {
    if (isErrno(error, 'ELOOP')) throw new ToolRefusal(`${path} is a loop of links.`);
    if (!isErrno(error, 'ENOENT', 'ENOTDIR')) throw error;
    const parent = dirname(path);
    return parent === path ? path : join(realOf(parent), basename(path));
  }
}
