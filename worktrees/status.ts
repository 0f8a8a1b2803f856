/** Reads `git status` in its form for programs (git-status, "Porcelain Format Version 2", NUL-separated). */
import { filePath, splitFields } from './file-path.ts';
import type { SubmoduleState } from './submodules.ts';

export interface WorktreeStatus {
  /** Nothing differs from HEAD: there is no edit and no new file. Ignored files do not count. */
  readonly clean: boolean;
  /** Folders of untracked repositories, relative to the worktree. */
  readonly nested: Buffer[];
  /**
   * Paths of ignored files, and of folders (with a slash at the end) that are ignored as a whole. Names that are not
   * UTF-8 are quoted.
   */
  readonly ignored: string[];
  /** Gitlinks whose submodule differs from the index in any way. */
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
    // Format: 1 XY sub mH mI mW hH hI path. For a gitlink `sub` is S<c><m><u>.
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
