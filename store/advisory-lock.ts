/** Locks that several processes on one database share: work that one of them does at a time. */
import type { Tx } from './sql.ts';

const LOCKS = { settle_lost_runs: 4_706_003, compact_frames: 4_706_004 } as const;

/** Held until the transaction ends. False: another process has it. */
export async function tryLock(tx: Tx, name: keyof typeof LOCKS): Promise<boolean> {
  const [lock] = await tx<{ taken: boolean }[]>`SELECT pg_try_advisory_xact_lock(${LOCKS[name]}) AS taken`;
  return lock?.taken === true;
}
