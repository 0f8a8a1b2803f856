/** Reads `git status` in its form for programs (git-status, "Porcelain Format Version 2", NUL-separated). */
import { filePath, splitFields } from './file-path.ts';
import type { SubmoduleState } from './submodules.ts';

export interface WorktreeStatus {
  /** Nothing differs from HEAD: no edit, no new file; ignored files do not count. */
  readonly clean: boolean;
  /** Folders of untracked repositories, relative to the worktree. */
  readonly nested: Buffer[];
  /** Ignored files, and folders (with a slash at the end) that are ignored as a whole; names that are not UTF-8 are quoted. */
  readonly ignored: string[];
  /** Gitlinks that differ in any way. */
  readonly gitlinks: SubmoduleState[];
}

const SLASH = 0x2f;

export function parseStatus(output: Buffer): WorktreeStatus {
  const status: WorktreeStatus & { clean: boolean } = { clean: true, nested: [], ignored: [], gitlinks: [] };
  for (const entry of splitFields(output)) {
    const kind = String.fromCharCode(entry[0] ?? 0);
    const name = entry.subarray(2);
    if (kind === '!') {
      status.ignored.push(filePath(name).path);
      continue;
    }
    status.clean = false;
    if (kind === '?' && name.at(-1) === SLASH) status.nested.push(name.subarray(0, -1));
    // 1 XY sub mH mI mW hH hI path: `sub` is S<c><m><u> for a gitlink.
    const fields = entry.toString('utf8').split(' ');
    const sub = fields[2];
    if (kind === '1' && sub?.startsWith('S') === true) {
      status.gitlinks.push({
        path: fields.slice(8).join(' '),
        moved: sub[1] === 'C',
        dirty: sub[2] === 'M' || sub[3] === 'U',
      });
    }
  }
  return status;
}
