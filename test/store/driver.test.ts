import { afterAll, beforeAll, expect, test } from 'vitest';
import { connect, isConnectionLoss, refuseUnpatched, type Sql } from '../../store/sql.ts';
import { freshDatabase, type LabDatabase } from '../lab/database.ts';
import { hold } from '../lab/until.ts';

// The driver as published ends the process or hangs here: bin/patch-postgres.js says why. An exception that
// nobody can catch fails the run of this file.
let database: LabDatabase;
beforeAll(async () => {
  database = await freshDatabase();
});
afterAll(() => database.drop());

/** Runs `work` on a pool of three whose connections are killed all the while. */
async function underFire(name: string, work: (sql: Sql) => Promise<unknown>): Promise<unknown[]> {
  const sql = connect(database.url, { max: 3, applicationName: name });
  const failures: unknown[] = [];
  const ceasefire = new AbortController();
  const fire = (async () => {
    while (!ceasefire.signal.aborted) {
      await database.sql`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = ${name}`;
    }
  })();
  const until = Date.now() + 1_500;
  const workers = Array.from({ length: 6 }, async () => {
    while (Date.now() < until) await work(sql).catch((error: unknown) => failures.push(error));
  });
  await Promise.all(workers);
  ceasefire.abort();
  await fire;
  // Every connection of the pool is good again, once it has noticed that it was killed.
  const everyone = () => Promise.all(Array.from({ length: 9 }, (_, i) => sql`SELECT ${i}::int`)).catch(() => undefined);
  await expect.poll(everyone).toHaveLength(9);
  await sql.end({ timeout: 1 });
  return failures;
}

test('statements whose connection is killed are rejected, and the pool continues', async () => {
  const failures = await underFire('fire statements', (sql) => sql`SELECT ${'x'.repeat(50)}::text AS x`);
  expect(failures.length).toBeGreaterThan(0);
  for (const failure of failures) expect(isConnectionLoss(failure)).toBe(true);
});

test('transactions whose connection is killed are rejected, and the pool continues', async () => {
  const failures = await underFire('fire transactions', (sql) =>
    sql.begin(async (tx) => {
      await tx`SELECT ${1}::int`;
      await tx`SELECT ${'x'}::text`;
    }),
  );
  expect(failures.length).toBeGreaterThan(0);
  for (const failure of failures) expect(isConnectionLoss(failure)).toBe(true);
});

test('a statement or lock timeout of the database counts as an outage, not as a failure', async () => {
  const { sql } = database;
  const slow = sql.begin((tx) => tx`SET LOCAL statement_timeout = '20ms'`.then(() => tx`SELECT pg_sleep(20)`));
  const [statement] = await Promise.allSettled([slow]);
  const held = await hold(sql, (tx) => tx`LOCK TABLE tasks IN ACCESS EXCLUSIVE MODE`);
  const waits = sql.begin((tx) => tx`SET LOCAL lock_timeout = '20ms'`.then(() => tx`SELECT FROM tasks`));
  const [lock] = await Promise.allSettled([waits]);
  await held.release();
  expect([statement, lock]).toMatchObject([{ reason: { code: '57014' } }, { reason: { code: '55P03' } }]);
  for (const one of [statement, lock]) expect(one.status === 'rejected' && isConnectionLoss(one.reason)).toBe(true);
});

test('an unpatched driver is refused, and the message says what to do', () => {
  expect(() => refuseUnpatched(Object.assign(() => {}, { PostgresError: Error }))).toThrow(/bin\/patch-postgres\.js/);
});
