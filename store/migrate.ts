/**
 * Numbered SQL files, each run once; those of one start run in one transaction, so that a failure leaves no change.
 * Several processes may start at once (an advisory lock); a file that changed after it ran is refused, because the
 * database would not match the file.
 */
import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { LonghaulError } from '../contract/errors.ts';
import type { Db, Sql } from './sql.ts';

/** Any fixed number: all Longhaul migrators of one database wait for each other on it. */
const ADVISORY_LOCK = 4_706_001;
const FOLDER = new URL('./migrations/', import.meta.url);

export interface Migration {
  readonly name: string;
  readonly sql: string;
  readonly checksum: string;
}

export async function readMigrations(folder: URL = FOLDER): Promise<Migration[]> {
  const names = (await readdir(folder)).filter((name) => name.endsWith('.sql')).sort();
  return Promise.all(
    names.map(async (name) => {
      const sql = await readFile(new URL(name, folder), 'utf8');
      return { name, sql, checksum: createHash('sha256').update(sql).digest('hex') };
    }),
  );
}

/** Brings the database to the newest migration and returns the names of those that ran now. */
export async function migrate(sql: Sql, migrations?: readonly Migration[]): Promise<string[]> {
  const all = migrations ?? (await readMigrations());
  return sql.begin(async (tx) => {
    await tx`SELECT pg_advisory_xact_lock(${ADVISORY_LOCK})`;
    // Not IF NOT EXISTS, because that requires the right to make tables even if the table exists.
    if (!(await hasRunBefore(tx))) {
      await tx`CREATE TABLE schema_migrations (
        name text PRIMARY KEY, checksum text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())`;
    }
    const rows = await tx<{ name: string; checksum: string }[]>`SELECT name, checksum FROM schema_migrations`;
    const applied = new Map(rows.map((row) => [row.name, row.checksum]));
    refuseUnknown(applied, all);
    const ran: string[] = [];
    for (const migration of all) {
      const checksum = applied.get(migration.name);
      if (checksum === migration.checksum) continue;
      if (checksum !== undefined) throw changed(migration, checksum);
      await tx.unsafe(migration.sql);
      await tx`INSERT INTO schema_migrations (name, checksum) VALUES (${migration.name}, ${migration.checksum})`;
      ran.push(migration.name);
    }
    return ran;
  });
}

function changed(migration: Migration, checksum: string): LonghaulError {
  return new LonghaulError(
    'invalid_input',
    `migration ${migration.name}: the database ran it with checksum ${checksum.slice(0, 12)}, the file now has ` +
      `${migration.checksum.slice(0, 12)}. Restore the file; put the change into a new migration.`,
  );
}

function refuseUnknown(applied: ReadonlyMap<string, string>, known: readonly Migration[]): void {
  const names = new Set(known.map((migration) => migration.name));
  const foreign = [...applied.keys()].filter((name) => !names.has(name));
  if (foreign.length === 0) return;
  throw new LonghaulError(
    'invalid_input',
    `the database has run migrations that this version does not know: ${foreign.join(', ')}. Use the version of Longhaul that made them, or a newer one.`,
  );
}

/** Names of migrations of this version that the database has not run. `migrate` refuses a file whose text has changed. */
export async function unappliedMigrations(sql: Sql): Promise<string[]> {
  const names = (await readMigrations()).map((migration) => migration.name);
  if (!(await hasRunBefore(sql))) return names;
  const rows = await sql<{ name: string }[]>`SELECT name FROM schema_migrations`;
  return names.filter((name) => !rows.some((row) => row.name === name));
}

async function hasRunBefore(sql: Db): Promise<boolean> {
  const [table] = await sql<{ there: boolean }[]>`SELECT to_regclass('schema_migrations') IS NOT NULL AS there`;
  return table?.there === true;
}
