/**
 * Advisory locks that the processes on one database share. Each lock ensures that only one process does some work at a
 * time.
 */
import type { Tx } from './sql.ts';

const LOCKS = { settle_lost_runs: 4_706_003, compact_frames: 4_706_004 } as const;

/** Takes the lock until the transaction ends. Returns false if another process holds the lock. */
export async function tryLock(tx: Tx, name: keyof typeof LOCKS): Promise<boolean> {
  const [lock] = await tx<{ taken: boolean }[]>`SELECT pg_try_advisory_xact_lock(${LOCKS[name]}) AS taken`;
  return lock?.taken === true;
}
