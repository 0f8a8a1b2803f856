/**
 * Runs the numbered SQL files, each one once. All files of one start run in one transaction, so a failure leaves no
 * change. Several processes may start at the same time, because an advisory lock lets one of them migrate. A file that
 * was changed after it ran is refused, because the database would not match the file.
 */
import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { LonghaulError } from '../contract/errors.ts';
import type { Db, Sql } from './sql.ts';

/** An arbitrary fixed number. All migrators of one database wait for each other on this lock. */
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

/** Migrates the database to the newest migration, and returns the names of the migrations that ran now. */
export async function migrate(sql: Sql, migrations?: readonly Migration[]): Promise<string[]> {
  const all = migrations ?? (await readMigrations());
  return sql.begin(async (tx) => {
    await tx`SELECT pg_advisory_xact_lock(${ADVISORY_LOCK})`;
    // `IF NOT EXISTS` is not used, because it needs the right to create tables even if the table exists.
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

/**
 * Returns the names of this version's migrations that the database has not run. `migrate` refuses a file whose text was
 * changed.
 */
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
