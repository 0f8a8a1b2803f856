/** Removes the lock files that a killed git left in a worktree's own repository or in its entry. */
import { readdirSync, rmSync } from 'node:fs';
import path from 'node:path';

/**
 * Removes git's lock files from the folder of a repository or an entry, including those of refs and submodules
 * (`modules/`).
 */
export function removeLocks(folder: string): void {
  for (const item of readdirSync(folder, { withFileTypes: true })) {
    const found = path.join(folder, item.name);
    if (item.isDirectory() && item.name !== 'objects') removeLocks(found);
    else if (item.isFile() && item.name.endsWith('.lock')) rmSync(found, { force: true });
  }
}
