import type { Sql } from '../../store/sql.ts';

/** Copies all rows aside; what it returns puts exactly them back, as a restored dump would, past every trigger. */
export async function backUp(sql: Sql): Promise<() => Promise<void>> {
  const rows = await sql<{ name: string }[]>`SELECT tablename AS name FROM pg_tables WHERE schemaname = 'public'`;
  const names = rows.map(({ name }) => name);
  await sql.begin(async (tx) => {
    await tx`CREATE SCHEMA backup`;
    for (const name of names) await tx`CREATE TABLE ${tx(`backup.${name}`)} AS TABLE ${tx(`public.${name}`)}`;
  });
  return async () => {
    await sql.begin(async (tx) => {
      await tx`SET LOCAL session_replication_role = replica`;
      await tx.unsafe(`TRUNCATE ${names.map((name) => `public."${name}"`).join(', ')}`);
      for (const name of names) {
        await tx`INSERT INTO ${tx(`public.${name}`)} OVERRIDING SYSTEM VALUE SELECT * FROM ${tx(`backup.${name}`)}`;
      }
    });
  };
}
