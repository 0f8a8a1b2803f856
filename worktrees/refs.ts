/**
 * Writes the refs that name results. A power cut within `git update-ref` leaves the ref's lock file permanently. Only
 * one step of one task writes a ref, so a lock file that is not new is such a remainder and is removed. A new lock file
 * may belong to a killed worker's git, or to the user's `git pack-refs`, which holds each lock for a moment.
 */
import { rm, stat } from 'node:fs/promises';
import path from 'node:path';
import { type GitOptions, git } from './git.ts';
import { pause } from './pause.ts';
import { orAbsent } from './repository.ts';
import { withLock } from './repository-lock.ts';

export interface RefLocation {
  readonly locksDir: string;
  readonly commonDir: string;
  /** The name of the ref: refs/longhaul/… */
  readonly ref: string;
  readonly at: GitOptions;
}

const LOCK_IS_LEFT_MS = 5_000;
const POLL_MS = 50;

/** Makes the ref name the commit. Throws `git_failed` if the commit does not exist. */
export const writeRef = (place: RefLocation, commit: string): Promise<void> => update(place, [place.ref, commit]);

/** Deletes the ref. A missing ref is no error. */
export const deleteRef = (place: RefLocation): Promise<void> => update(place, ['-d', place.ref]);

async function update(place: RefLocation, change: readonly string[]): Promise<void> {
  const { locksDir, commonDir: subject, at } = place;
  await removeLeftLock(place);
  await withLock({ locksDir, subject, ...(at.signal && { signal: at.signal }) }, () =>
    git(['update-ref', ...change], at),
  );
}

async function removeLeftLock({ commonDir, ref, at }: RefLocation): Promise<void> {
  const file = path.join(commonDir, `${ref}.lock`);
  const started = Date.now();
  for (;;) {
    const status = await orAbsent(stat(file));
    if (status === undefined) return;
    // If the clock was set back, the file's time may be in the future. In that case the file counts as new at the start
    // of this call.
    if (Date.now() - Math.min(status.mtimeMs, started) > LOCK_IS_LEFT_MS) {
      await rm(file, { force: true });
      return;
    }
    await pause(POLL_MS, at.signal);
  }
}
