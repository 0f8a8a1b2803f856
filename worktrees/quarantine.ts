/**
 * The quarantine folder, into which git writes the objects of a change. It is in the worktree's entry, where the user's
 * gc does not look. The quarantine names the repository as a further source of objects (git's "alternates"), so git
 * finds those objects, too. All new objects are added to the repository just before the ref that names them is written,
 * and once more after that, because a gc may have removed some of them.
 */
import { randomUUID } from 'node:crypto';
import { copyFileSync, linkSync, mkdirSync, readdirSync, renameSync, rmSync } from 'node:fs';
import path from 'node:path';
import { isErrno } from '../contract/errors.ts';

export interface Quarantine {
  readonly folder: string;
  /** The repository's objects folder. */
  readonly objects: string;
}

/** The environment for a git process that writes into the quarantine. */
export const quarantineEnv = ({ folder, objects }: Quarantine): Record<string, string> => ({
  GIT_OBJECT_DIRECTORY: folder,
  // The path is quoted because it may contain a colon.
  GIT_ALTERNATE_OBJECT_DIRECTORIES: JSON.stringify(objects),
});

/** Creates an empty quarantine and removes the content that a killed run left. */
export function openQuarantine(quarantine: Quarantine): void {
  closeQuarantine(quarantine);
  mkdirSync(quarantine.folder);
}

/**
 * Removes the quarantine. Synchronous, because with asynchronous calls each of its many folders would need several
 * passes through the thread pool. A missing folder is no error.
 */
export function closeQuarantine({ folder }: Quarantine): void {
  rmSync(folder, { recursive: true, force: true });
}

/**
 * Adds those objects of the quarantine to the repository that the repository lacks. Synchronous; it takes about 20 µs
 * for each object.
 */
export function addToRepository({ folder, objects }: Quarantine): void {
  for (const part of readdirSync(folder)) {
    // The index is linked last, because git uses a pack once its index exists.
    const names = readdirSync(path.join(folder, part)).sort((a, b) => rank(a) - rank(b));
    for (const name of names.filter((one) => !one.startsWith('tmp_'))) {
      place(path.join(folder, part, name), path.join(objects, part, name));
    }
  }
}

const rank = (name: string): number => (name.endsWith('.idx') ? 1 : 0);

/**
 * A gc may remove an empty folder before an object is added to it. `ATTEMPTS` failures in a row must have another
 * cause.
 */
const ATTEMPTS = 100;

function place(from: string, to: string): void {
  for (let attempt = 1; ; attempt += 1) {
    try {
      linkSync(from, to);
      return;
    } catch (error) {
      if (isErrno(error, 'EEXIST')) return;
      if (isErrno(error, 'EPERM', 'ENOTSUP', 'EXDEV', 'EMLINK')) {
        copy(from, to);
        return;
      }
      if (!isErrno(error, 'ENOENT') || attempt === ATTEMPTS) throw error;
      mkdirSync(path.dirname(to), { recursive: true });
    }
  }
}

/** Copies an object if the file system has no hard links. The temporary name is one that gc treats as git's own. */
function copy(from: string, to: string): void {
  const draft = path.join(path.dirname(to), `tmp_obj_${randomUUID()}`);
  copyFileSync(from, draft);
  renameSync(draft, to);
}
