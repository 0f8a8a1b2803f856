/** Stops all parts of a home in order, whether or not its supervisor is alive. */
import { setTimeout as sleep } from 'node:timers/promises';
import { isErrno, LonghaulError } from '../contract/errors.ts';
import { readState, writeState, type HomePaths } from './home/home.ts';
import { type BusyLock, type HeldLock, lockHolder, takeLock } from './home/lock.ts';
import type { Part } from './supervisor/part.ts';
import { endProcess } from '../processes/end.ts';
import { liveSupervisor } from './status.ts';

/**
 * How long the supervisor may take to stop. It stops backend (10 s), worker (45 s), Temporal (15 s) and Postgres (40 s)
 * one after the other.
 */
const SUPERVISOR_MS = 130_000;
const LOCK_MS = 140_000;

/**
 * Stops the parts and records that they are stopped. `parts` are in the order in which they start; they are stopped in
 * the opposite order.
 */
export async function stopHome(paths: HomePaths, parts: readonly Part[]): Promise<void> {
  const lock = await takeFromSupervisor(paths);
  // While this process holds the lock, no other process starts a part. The loop stops parts that a killed supervisor
  // left.
  try {
    for (const part of parts.toReversed()) await part.stop();
    await recordStop(paths);
  } finally {
    await lock.release();
  }
}

/**
 * Records that the parts are stopped. The last record of a killed supervisor says that they are ready, and later
 * commands would look for these parts.
 */
async function recordStop(paths: HomePaths): Promise<void> {
  const state = await readState(paths);
  if (!state || state.parts.every((part) => part.state === 'stopped')) return;
  const stopped = state.parts.map((part) => ({ ...part, state: 'stopped' as const, process: null, detail: null }));
  try {
    await writeState(paths, { ...state, parts: stopped });
  } catch (error) {
    if (!isErrno(error, 'ENOSPC', 'EDQUOT')) throw error;
  }
}

/**
 * Ends the supervisor, which stops its parts first, and takes its lock. If another `down` holds the lock, this function
 * waits until that `down` releases the lock.
 */
async function takeFromSupervisor(paths: HomePaths): Promise<{ release(): Promise<void> }> {
  const deadline = Date.now() + LOCK_MS;
  for (;;) {
    const lock = await takeOrGoWithout(paths.lock);
    if (lock.kind === 'held') return lock;
    const supervisor = await liveSupervisor(paths, await readState(paths));
    if (supervisor) {
      await endProcess(supervisor, [
        { signal: 'SIGTERM', withinMs: SUPERVISOR_MS },
        { signal: 'SIGKILL', withinMs: 5_000 },
      ]);
    } else if (Date.now() > deadline) {
      throw new LonghaulError(
        'internal_error',
        `Process ${lock.holder.pid} holds ${paths.lock} and does not exit: end it, then run \`longhaul down\` again.`,
      );
    }
    await sleep(100);
  }
}

/**
 * Takes the lock of the home. If the disk is full and no live process holds the lock, this function continues without
 * the lock: on a full disk no other process can take the lock either.
 */
async function takeOrGoWithout(folder: string): Promise<Omit<HeldLock, 'untilLost'> | BusyLock> {
  try {
    return await takeLock(folder);
  } catch (error) {
    if (!isErrno(error, 'ENOSPC', 'EDQUOT')) throw error;
    const holder = await lockHolder(folder);
    return holder ? { kind: 'busy', holder } : { kind: 'held', release: async () => {} };
  }
}
