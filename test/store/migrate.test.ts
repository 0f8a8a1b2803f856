import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { migrate, type Migration, readMigrations, unappliedMigrations } from '../../store/migrate.ts';
import { connect, type Sql } from '../../store/sql.ts';
import { emptyDatabase, type LabDatabase } from '../lab/database.ts';

let database: LabDatabase;
let sql: Sql;
beforeEach(async () => {
  database = await emptyDatabase();
  ({ sql } = database);
});
afterEach(() => database.drop());

const made = (name: string, text: string): Migration => ({
  name,
  sql: text,
  checksum: createHash('sha256').update(text).digest('hex'),
});

async function tables(): Promise<string[]> {
  const rows = await sql<{ name: string }[]>`
    SELECT table_name AS name FROM information_schema.tables WHERE table_schema = 'public' ORDER BY 1`;
  return rows.map(({ name }) => name);
}

test('an empty database gets every table, once', async () => {
  const names = (await readMigrations()).map(({ name }) => name);
  expect(await unappliedMigrations(sql)).toEqual(names);
  expect(await migrate(sql)).toEqual(names);
  expect(await migrate(sql)).toEqual([]);
  expect(await unappliedMigrations(sql)).toEqual([]);
  expect(await tables()).toEqual([
    'agent_snapshots',
    'attempts',
    'available_agents',
    'change_actions',
    'chats',
    'collected_diffs',
    'disabled_agents',
    'frames',
    'hosts',
    'idempotency_keys',
    'messages',
    'pending_changes',
    'permission_rules',
    'permissions',
    'projects',
    'recordings',
    'resume_checks',
    'schema_migrations',
    'sessions',
    'tasks',
    'unlisted_agents',
    'worker_metrics',
  ]);
});

test('each migration has a number of its own, so that all databases run them in one order', async () => {
  const numbers = (await readMigrations()).map(({ name }) => name.split('_')[0]);
  expect(new Set(numbers).size).toBe(numbers.length);
});

/** A database refuses a file that changed after it ran, also where only a comment did. A new migration adds its line. */
test('the text of each migration, comments included, is the one that databases have run', async () => {
  const list = await readFile(new URL('migrations.sha256', import.meta.url), 'utf8');
  const sums = (await readMigrations()).map(({ name, checksum }) => `${checksum}  ${name}\n`).join('');
  expect(sums).toBe(list);
});

test('twenty concurrent migrators run each migration once, and all of them succeed', async () => {
  const pools = Array.from({ length: 20 }, () => connect(database.url, { max: 1 }));
  try {
    const ran = await Promise.all(pools.map((pool) => migrate(pool)));
    const all = (await readMigrations()).length;
    expect(ran.map((names) => names.length).sort((a, b) => a - b)).toEqual([
      ...Array.from({ length: 19 }, () => 0),
      all,
    ]);
  } finally {
    await Promise.all(pools.map((pool) => pool.end({ timeout: 1 })));
  }
});

test('a migration that fails leaves nothing, also not the migrations before it', async () => {
  const good = made('0001_good.sql', 'CREATE TABLE good (id int)');
  const bad = made('0002_bad.sql', 'CREATE TABLE bad (id int); INSERT INTO bad VALUES (1); SELECT 1 / 0;');
  await expect(migrate(sql, [good, bad])).rejects.toMatchObject({ code: '22012' });
  expect(await tables()).toEqual([]);
  expect(await migrate(sql, [good])).toEqual(['0001_good.sql']);
  await expect(migrate(sql, [good, bad])).rejects.toThrow();
  expect(await tables()).toEqual(['good', 'schema_migrations']);
});

test('a migration that changed after it ran is refused; the message names it', async () => {
  await migrate(sql, [made('0001_a.sql', 'CREATE TABLE a (id int)')]);
  const changed = [made('0001_a.sql', 'CREATE TABLE a (id bigint)'), made('0002_b.sql', 'CREATE TABLE b (id int)')];
  await expect(migrate(sql, changed)).rejects.toMatchObject({
    code: 'invalid_input',
    message: expect.stringContaining('migration 0001_a.sql: the database ran it with checksum') as string,
  });
  expect(await tables()).toEqual(['a', 'schema_migrations']);
});

test('a database of a newer version is refused; the message names the unknown migrations', async () => {
  const old = made('0001_a.sql', 'CREATE TABLE a (id int)');
  await migrate(sql, [old, made('0002_newer.sql', 'CREATE TABLE b (id int)')]);
  await expect(migrate(sql, [old])).rejects.toMatchObject({
    code: 'invalid_input',
    message: expect.stringContaining('does not know: 0002_newer.sql') as string,
  });
});
