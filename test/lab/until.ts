/** Waits for a state of another process that sends no event: it is checked again and again. */
import { setTimeout as delay } from 'node:timers/promises';
import type { Sql } from '../../store/sql.ts';

/** Looks every few milliseconds until `look` finds something, and returns it. The bound only ends what hangs. */
export async function until<T>(
  what: string,
  look: () => Promise<T | undefined | false> | T | undefined | false,
  boundMs = 90_000,
): Promise<T> {
  const deadline = Date.now() + boundMs;
  for (;;) {
    const found = await look();
    if (found !== undefined && found !== false) return found;
    if (Date.now() > deadline) throw new Error(`still waiting for ${what} after ${boundMs} ms`);
    await delay(5);
  }
}

/** Resolves when a statement of the named application waits for a lock, with its backend's pid. */
export async function blockedBackend(sql: Sql, applicationName: string): Promise<number> {
  return until(`a blocked statement of ${applicationName}`, async () => {
    const [row] = await sql<{ pid: number }[]>`
      SELECT pid FROM pg_stat_activity
       WHERE application_name = ${applicationName} AND datname = current_database() AND wait_event_type = 'Lock'`;
    return row?.pid;
  });
}

/** Holds a lock from another connection until it is let go. */
export interface Hold {
  /** Ends the transaction, its changes kept. */
  release(): Promise<void>;
}

/** Begins a transaction, does `work` in it, and leaves it open. */
export async function hold(sql: Sql, work: (tx: Sql) => Promise<unknown>): Promise<Hold> {
  const connection = await sql.reserve();
  await connection`BEGIN`;
  await work(connection);
  return {
    release: async () => {
      await connection`COMMIT`;
      connection.release();
    },
  };
}
