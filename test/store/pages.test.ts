import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { changePage } from '../../store/change-views.ts';
import type { Page, PageRange } from '../../store/pages.ts';
import { projectPage } from '../../store/projects.ts';
import { sessionPage } from '../../store/sessions.ts';
import type { Db, Sql } from '../../store/sql.ts';
import { taskPage } from '../../store/task-views.ts';
import { emptyDatabase, freshDatabase, type LabDatabase } from '../lab/database.ts';
import { migrate } from '../../store/migrate.ts';

let database: LabDatabase;
let sql: Sql;
beforeAll(async () => {
  database = await freshDatabase();
  ({ sql } = database);
});
afterAll(() => database.drop());

type Lister = (db: Db, range: PageRange) => Promise<Page<{ readonly id: string }>>;
const LISTS: readonly [string, Lister][] = [
  ['tasks', (db, range) => taskPage(db, {}, range)],
  ['sessions', (db, range) => sessionPage(db, {}, range)],
  ['projects', (db, range) => projectPage(db, range)],
  ['pending_changes', (db, range) => changePage(db, {}, range)],
];

test.each(LISTS)('a page deep in a long list of %s is read by its index', async (table, list) => {
  await sql`INSERT INTO ${sql(table)} (id, created_at)
            SELECT gen_random_uuid(), now() - n * interval '1 second' FROM generate_series(1, 5000) AS n`;
  await sql`ANALYZE ${sql(table)}`;
  const connection = await sql.reserve();
  const scans = async (): Promise<{ index: number; whole: number }> => {
    await connection`SELECT pg_stat_force_next_flush()`;
    const [row] = await sql<{ index: number; whole: number }[]>`
      SELECT i.idx_scan AS index, t.seq_scan AS whole FROM pg_stat_user_indexes i JOIN pg_stat_user_tables t USING (relid)
       WHERE i.indexrelname = ${`${table}_by_age`}`;
    return row ?? { index: -1, whole: -1 };
  };
  try {
    const before = await scans();
    const after = { at: (Date.now() - 4_000_000) * 1_000, id: randomUUID() };
    expect((await list(connection, { limit: 20, after })).items).toHaveLength(20);
    expect(await scans()).toEqual({ index: before.index + 1, whole: before.whole });
  } finally {
    connection.release();
  }
});

test('rows of one microsecond, and rows without a time, are each on exactly one page', async () => {
  const project = randomUUID();
  const rows = [
    ...Array.from({ length: 7 }, () => '2020-01-01 00:00:00.000001'),
    '2020-01-01 00:00:00.000002',
    null,
    null,
  ];
  for (const at of rows) await sql`INSERT INTO tasks (project_id) VALUES (${project}) RETURNING id`.then(([row]) => sql`UPDATE tasks SET created_at = ${at} WHERE id = ${row?.['id'] as string}`); // prettier-ignore
  const seen: string[] = [];
  let after: PageRange['after'];
  do {
    const page: Page<{ readonly id: string }> = await taskPage(
      sql,
      { projectId: project as never },
      { limit: 3, ...(after ? { after } : {}) },
    );
    seen.push(...page.items.map(({ id }) => id));
    after = page.next;
  } while (after);
  expect(seen).toHaveLength(rows.length);
  expect(new Set(seen).size).toBe(rows.length);
});

test('an adopted table whose time has another type has no index, and can be listed', async () => {
  const adopted = await emptyDatabase();
  try {
    await adopted.sql`CREATE TABLE projects (id uuid PRIMARY KEY, name text, path text, created_at timestamp)`;
    await migrate(adopted.sql);
    const ids = Array.from({ length: 3 }, () => randomUUID());
    for (const id of ids) await adopted.sql`INSERT INTO projects (id, created_at) VALUES (${id}, now())`;
    const first = await projectPage(adopted.sql, { limit: 2 });
    const second = await projectPage(adopted.sql, { limit: 2, ...(first.next ? { after: first.next } : {}) });
    expect([...first.items, ...second.items].map(({ id }) => id)).toEqual(ids.toReversed());
  } finally {
    await adopted.drop();
  }
});
