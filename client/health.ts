/** Whether what a client needs is there, each within a bound. */
import { setTimeout as delay } from 'node:timers/promises';
import { unappliedMigrations } from '../store/migrate.ts';
import type { Sql } from '../store/sql.ts';
import type { Longhaul } from './connection.ts';
import { probeTemporal } from './temporal.ts';

const WITHIN_MS = 3_000;

export type PartHealth = { readonly ok: true } | { readonly ok: false; readonly detail: string };

export interface Health {
  readonly postgres: PartHealth;
  readonly migrations: PartHealth;
  readonly temporal: PartHealth;
}

export async function checkHealth({ sql, temporal }: Pick<Longhaul, 'sql' | 'temporal'>): Promise<Health> {
  const [database, server] = await Promise.all([checkDatabase(sql), healthOf(probeTemporal(temporal, WITHIN_MS))]);
  return { ...database, temporal: server };
}

/** Without Temporal, whose client takes long to load. */
export async function checkDatabase(sql: Sql): Promise<Omit<Health, 'temporal'>> {
  const [postgres, migrations] = await Promise.all([
    healthOf(sql`SELECT 1`),
    healthOf(unappliedMigrations(sql).then(refuseUnapplied)),
  ]);
  return { postgres, migrations };
}

function refuseUnapplied(names: readonly string[]): void {
  if (names.length > 0) throw new Error(`not applied yet: ${names.join(', ')}`);
}

async function healthOf(work: PromiseLike<unknown>): Promise<PartHealth> {
  const timer = new AbortController();
  const late = delay(WITHIN_MS + 500, undefined, { signal: timer.signal }).then(() => {
    throw new Error(`no answer within ${WITHIN_MS / 1000} s`);
  });
  try {
    await Promise.race([work, late]);
    return { ok: true };
  } catch (error) {
    // A refused connection (AggregateError) has an empty message and a code.
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'failed';
    return { ok: false, detail: error instanceof Error ? error.message || code : String(error) };
  } finally {
    late.catch(() => undefined);
    timer.abort();
  }
}
