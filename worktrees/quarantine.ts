/**
 * The folder for the objects of a change: in the worktree's entry, where no gc of the user looks. Git reads the
 * repository's objects through it (git's "alternates"). New objects are put into the repository together, just before
 * the ref that names them, and again afterwards in case a gc has removed some of them.
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

/** The environment of a git that writes into it. */
export const quarantineEnv = ({ folder, objects }: Quarantine): Record<string, string> => ({
  GIT_OBJECT_DIRECTORY: folder,
  // Quoted: a path may hold a colon.
  GIT_ALTERNATE_OBJECT_DIRECTORIES: JSON.stringify(objects),
});

/** Creates it empty, whatever a killed run left in it. */
export function openQuarantine(quarantine: Quarantine): void {
  closeQuarantine(quarantine);
  mkdirSync(quarantine.folder);
}

/**
 * Synchronously, because each folder of objects would otherwise need several calls through the thread pool. A missing
 * folder is no error.
 */
export function closeQuarantine({ folder }: Quarantine): void {
  rmSync(folder, { recursive: true, force: true });
}

/** Adds the objects that the repository lacks. Synchronously: some 20 µs for each object. */
export function publish({ folder, objects }: Quarantine): void {
  for (const part of readdirSync(folder)) {
    // A pack counts once its index exists.
    const names = readdirSync(path.join(folder, part)).sort((a, b) => rank(a) - rank(b));
    for (const name of names.filter((one) => !one.startsWith('tmp_'))) {
      place(path.join(folder, part, name), path.join(objects, part, name));
    }
  }
}

const rank = (name: string): number => (name.endsWith('.idx') ? 1 : 0);

/** A gc removes empty folders; after this many failures in a row there is another cause. */
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

/** A copy, if there are no hard links, under a name that gc treats as git's own temporary file. */
function copy(from: string, to: string): void {
  const draft = path.join(path.dirname(to), `tmp_obj_${randomUUID()}`);
  copyFileSync(from, draft);
  renameSync(draft, to);
}
