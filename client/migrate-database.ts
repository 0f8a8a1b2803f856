/** Migrates a database to this version's schema. The programs that start the services call it. */
import { migrate } from '../store/migrate.ts';
import { connect, sqlCode } from '../store/sql.ts';
import { LonghaulError } from '../contract/errors.ts';

// SQLSTATE codes of failures that only the user can fix: https://www.postgresql.org/docs/current/errcodes-appendix.html
const INSUFFICIENT_PRIVILEGE = '42501';
const REFUSED: Readonly<Record<string, string>> = {
  '28P01': 'Check the user name and the password in it.',
  '28000': "Check the user name in it, and the server's pg_hba.conf.",
  '3D000': 'Create the database, or name another one.',
};

/**
 * Runs the migrations. Several processes may call it at the same time, and again. Fails with `invalid_input` if a newer
 * version has migrated the database, if the database refuses the role, or if the role may not create or alter the
 * tables.
 */
export async function migrateDatabase(databaseUrl: string): Promise<void> {
  const sql = connect(databaseUrl, { max: 1, applicationName: 'longhaul migrations' });
  try {
    await migrate(sql);
  } catch (error) {
    throw refusal(error, new URL(databaseUrl)) ?? error;
  } finally {
    await sql.end({ timeout: 5 });
  }
}

function refusal(error: unknown, url: URL): LonghaulError | undefined {
  const code = sqlCode(error);
  if (code === undefined || !(error instanceof Error)) return undefined;
  const database = decodeURIComponent(url.pathname.slice(1));
  if (code === INSUFFICIENT_PRIVILEGE) {
    const role = decodeURIComponent(url.username);
    return new LonghaulError(
      'invalid_input',
      `DATABASE_URL: the role "${role}" may not make or change the tables of database "${database}" (${error.message}). ` +
        `Make it the owner of the existing tables and GRANT CREATE ON SCHEMA public TO "${role}", or start once with a role that may.`,
      { cause: error },
    );
  }
  const advice = REFUSED[code];
  if (advice === undefined) return undefined;
  return new LonghaulError('invalid_input', `DATABASE_URL: ${url.host} refuses it: ${error.message}. ${advice}`, {
    cause: error,
  });
}
