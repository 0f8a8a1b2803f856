/** For whoever starts the services: brings a database to this version's schema. */
import { migrate } from '../store/migrate.ts';
import { connect } from '../store/sql.ts';

/** Safe to run by many starters at once, and again. Fails if the database has run migrations of a newer version. */
export async function migrateDatabase(databaseUrl: string): Promise<void> {
  const sql = connect(databaseUrl, { max: 1, applicationName: 'longhaul migrations' });
  try {
    await migrate(sql);
  } finally {
    await sql.end({ timeout: 5 });
  }
}
