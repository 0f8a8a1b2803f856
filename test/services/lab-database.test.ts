import { expect, test } from 'vitest';
import { emptyDatabase, freshDatabase } from '../lab/database.ts';

test('a new database has the tables, an empty one has none, and both no longer exist after drop', async () => {
  const fresh = await freshDatabase();
  const empty = await emptyDatabase();
  const tables = (sql: typeof fresh.sql) =>
    sql<{ name: string }[]>`SELECT table_name AS name FROM information_schema.tables WHERE table_schema = 'public'`;
  const names = (await tables(fresh.sql)).map((row) => row.name);
  expect(names).toContain('tasks');
  expect(await tables(empty.sql)).toHaveLength(0);
  await fresh.drop();
  const name = new URL(fresh.url).pathname.slice(1);
  expect(await empty.sql`SELECT 1 FROM pg_database WHERE datname = ${name}`).toHaveLength(0);
  await empty.drop();
});
