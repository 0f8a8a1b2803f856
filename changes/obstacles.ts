/**
 * Finds what prevents writing the files of a plan: links or files in place of a parent folder, nested repositories, and
 * folders with other files in place of a file.
 */
import { readdirSync } from 'node:fs';
import { filePath } from '../worktrees/file-path.ts';
import { barrierTo, joined, statusAt } from './disk.ts';
import type { Side } from './journal.ts';
import { keyOf, nestedAbove } from './ours.ts';
import type { ConflictingPath } from './plan.ts';

interface Written {
  readonly wanted: { readonly path: Buffer };
  readonly side: Side;
}

/** Returns the paths that cannot be written, each with the reason. */
export function findObstacles(topLevel: string, outcomes: readonly Written[]): ConflictingPath[] {
  const removed = new Set(outcomes.filter((one) => one.side === null).map((one) => keyOf(one.wanted.path)));
  return outcomes.flatMap(({ wanted: { path }, side }) => {
    const reason = side === null ? undefined : obstacleTo(topLevel, path, removed);
    return reason === undefined ? [] : [{ path, reason }];
  });
}

function obstacleTo(topLevel: string, path: Buffer, removed: ReadonlySet<string>): string | undefined {
  const nested = nestedAbove(topLevel, path);
  if (nested !== undefined) return `${filePath(nested).path} is a repository of its own`;
  const barrier = barrierTo(topLevel, path);
  if (barrier !== undefined && !removed.has(keyOf(barrier)))
    return `${filePath(barrier).path} is in the way: expected a folder, found a file or a link`;
  if (barrier !== undefined || statusAt(joined(topLevel, path))?.isDirectory() !== true) return undefined;
  const rest = firstOther(topLevel, path, removed);
  return rest === undefined ? undefined : `a folder is in the way, which has ${filePath(rest).path}`;
}

/**
 * Returns the first file in the folder that the plan does not remove; undefined if there is none. A nested repository
 * counts as a file.
 */
function firstOther(topLevel: string, folder: Buffer, removed: ReadonlySet<string>): Buffer | undefined {
  for (const item of readdirSync(joined(topLevel, folder), { withFileTypes: true, encoding: 'buffer' })) {
    const below = Buffer.concat([folder, Buffer.from('/'), item.name]);
    const found = item.isDirectory()
      ? firstOther(topLevel, below, removed)
      : removed.has(keyOf(below))
        ? undefined
        : below;
    if (found !== undefined) return found;
  }
  return undefined;
}
