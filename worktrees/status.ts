/** Reads `git status` in its form for programs (git-status, "Porcelain Format Version 2", NUL-separated). */
import type { SubmoduleState } from './submodules.ts';

export interface WorktreeStatus {
  /** Nothing differs from HEAD: no edit, no new file; ignored files do not count. */
  readonly clean: boolean;
  /** Folders of untracked repositories, relative to the worktree. */
  readonly nested: string[];
  /** Ignored files, and folders (with a slash at the end) that are ignored as a whole. */
  readonly ignored: string[];
  /** Gitlinks that differ in any way. */
  readonly gitlinks: SubmoduleState[];
}

export function parseStatus(output: Buffer): WorktreeStatus {
  const status: WorktreeStatus & { clean: boolean } = { clean: true, nested: [], ignored: [], gitlinks: [] };
  for (const entry of output.toString('utf8').split('\0')) {
    const kind = entry[0];
    const name = entry.slice(2);
    if (kind === undefined) continue;
    if (kind === '!') {
      status.ignored.push(name);
      continue;
    }
    status.clean = false;
    if (kind === '?' && name.endsWith('/')) status.nested.push(name.slice(0, -1));
    // 1 XY sub mH mI mW hH hI path: `sub` is S<c><m><u> for a gitlink.
    const fields = entry.split(' ');
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
