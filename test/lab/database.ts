/** A database of its own for each test file: a copy of a template that was migrated once in this run. */
import { randomBytes } from 'node:crypto';
import postgres from 'postgres';
import { inject } from 'vitest';
import { migrate } from '../../store/migrate.ts';
import { connect, type Sql } from '../../store/sql.ts';
import { bareTables } from './old-tables.ts';

const TEMPLATE = 'longhaul_template';
/** Test processes make the template one after the other. */
const TEMPLATE_LOCK = 4_706_901;

export interface LabDatabase {
  readonly url: string;
  readonly sql: Sql;
  /** Ends `sql`, throws out every other connection, removes the database. */
  drop(): Promise<void>;
}

/** With all tables. */
export async function freshDatabase(): Promise<LabDatabase> {
  await withAdmin(makeTemplate);
  return create(TEMPLATE);
}

/** That had exactly the tables of an old backend before it was migrated. */
export async function adoptedDatabase(): Promise<LabDatabase> {
  const database = await emptyDatabase();
  await database.sql.unsafe(bareTables());
  await migrate(database.sql);
  return database;
}

/** Without any table. */
export async function emptyDatabase(): Promise<LabDatabase> {
  return create('template1');
}

async function create(template: string): Promise<LabDatabase> {
  const name = `test_${randomBytes(6).toString('hex')}`;
  await withAdmin((admin) => admin.unsafe(`CREATE DATABASE ${name} TEMPLATE ${template}`));
  const url = urlOf(name);
  const sql = connect(url, { applicationName: 'test' });
  return {
    url,
    sql,
    drop: async () => {
      await sql.end({ timeout: 1 });
      await withAdmin((admin) => admin.unsafe(`DROP DATABASE IF EXISTS ${name} WITH (FORCE)`));
    },
  };
}

async function makeTemplate(admin: postgres.Sql): Promise<void> {
  await admin`SELECT pg_advisory_lock(${TEMPLATE_LOCK})`;
  const found = await admin`SELECT 1 FROM pg_database WHERE datname = ${TEMPLATE}`;
  if (found.length > 0) return;
  const draft = `${TEMPLATE}_draft`;
  await admin.unsafe(`DROP DATABASE IF EXISTS ${draft} WITH (FORCE)`);
  await admin.unsafe(`CREATE DATABASE ${draft} TEMPLATE template1`);
  const sql = connect(urlOf(draft), { max: 1, applicationName: 'test template' });
  try {
    await migrate(sql);
  } finally {
    await sql.end({ timeout: 1 });
  }
  // A name that is there is a template that is finished.
  await admin.unsafe(`ALTER DATABASE ${draft} RENAME TO ${TEMPLATE}`);
}

/** One connection, so that an advisory lock is given back when it ends. */
async function withAdmin(work: (admin: postgres.Sql) => Promise<unknown>): Promise<void> {
  const admin = postgres(inject('databaseAdminUrl'), { max: 1, onnotice: () => {} });
  try {
    await work(admin);
  } finally {
    await admin.end({ timeout: 1 });
  }
}

function urlOf(database: string): string {
  const url = new URL(inject('databaseAdminUrl'));
  url.pathname = `/${database}`;
  return url.href;
}
