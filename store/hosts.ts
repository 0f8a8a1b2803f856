/**
 * Stores the machines that have worktrees. A database can serve only one host for now, so a second host name is
 * refused.
 */
import { LonghaulError } from '../contract/errors.ts';
import type { Sql } from './sql.ts';

const ADVISORY_LOCK = 4_706_002;

/** Inserts the host if the database has no host yet. Fails with `invalid_input` if the database serves another host. */
export async function claimHost(sql: Sql, name: string): Promise<void> {
  await sql.begin(async (tx) => {
    await tx`SELECT pg_advisory_xact_lock(${ADVISORY_LOCK})`;
    const rows = await tx<{ name: string }[]>`SELECT name FROM hosts`;
    if (rows.some((row) => row.name === name)) return;
    const other = rows[0]?.name;
    if (other !== undefined) {
      throw new LonghaulError(
        'invalid_input',
        `This database serves host "${other}", this worker calls itself "${name}". Several hosts are not supported yet: ` +
          `set LONGHAUL_HOST_NAME=${other}, or delete the row from hosts if that machine no longer exists.`,
      );
    }
    await tx`INSERT INTO hosts (name) VALUES (${name})`;
  });
}

export async function hostNames(sql: Sql): Promise<string[]> {
  return (await sql<{ name: string }[]>`SELECT name FROM hosts ORDER BY name`).map(({ name }) => name);
}
