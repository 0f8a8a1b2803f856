/**
 * Where the objects of a change are written: a folder of our own in the worktree's entry, which no gc of the user's looks
 * into. Git reads the repository's objects through it (git-config's "alternates"); what is new comes into the repository
 * in one go, just before the ref that names it, and again after that, should a gc have taken some of it in between.
 */
import { randomUUID } from 'node:crypto';
import { copyFileSync, linkSync, mkdirSync, readdirSync, renameSync, rmSync } from 'node:fs';
import path from 'node:path';
import { isErrno } from '../contract/errors.ts';

export interface Quarantine {
  readonly folder: string;
  /** The repository's own. */
  readonly objects: string;
}

/** For a git that writes into it. */
export const quarantineEnv = ({ folder, objects }: Quarantine): Record<string, string> => ({
  GIT_OBJECT_DIRECTORY: folder,
  // Quoted: a path may hold a colon.
  GIT_ALTERNATE_OBJECT_DIRECTORIES: JSON.stringify(objects),
});

/** Empty, whatever a killed run left in it. */
export function openQuarantine(quarantine: Quarantine): void {
  closeQuarantine(quarantine);
  mkdirSync(quarantine.folder);
}

/** Synchronously: each folder of objects would else be some ways through the thread pool. Absent is fine. */
export function closeQuarantine({ folder }: Quarantine): void {
  rmSync(folder, { recursive: true, force: true });
}

/** Puts into the repository what is not there, or not any more. Synchronously: some 20 µs for each object. */
export function publish({ folder, objects }: Quarantine): void {
  for (const part of readdirSync(folder)) {
    // A pack counts once its index is there.
    const names = readdirSync(path.join(folder, part)).sort((a, b) => rank(a) - rank(b));
    for (const name of names.filter((one) => !one.startsWith('tmp_'))) {
      place(path.join(folder, part, name), path.join(objects, part, name));
    }
  }
}

const rank = (name: string): number => (name.endsWith('.idx') ? 1 : 0);

/** A gc removes folders that are empty; more often than this in a row it is something else. */
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

/** Where there are no hard links. Under a name that gc takes for git's own draft. */
function copy(from: string, to: string): void {
  const draft = path.join(path.dirname(to), `tmp_obj_${randomUUID()}`);
  copyFileSync(from, draft);
  renameSync(draft, to);
}
