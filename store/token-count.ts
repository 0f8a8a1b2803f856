/** Reads token counts as they are shown. */
import type postgres from 'postgres';
import type { Db } from './sql.ts';

/** The largest integer that a JSON number represents exactly: 2^53 - 1. */
const MAX_COUNT = Number.MAX_SAFE_INTEGER;

/**
 * SQL: the count within 0 and the largest exact integer, because any program may write a negative or huge count. Null
 * stays null: no agent has reported a count.
 */
export const tokenCount = (db: Db, count: postgres.Fragment) =>
  db`CASE WHEN ${count} IS NOT NULL THEN least(greatest(${count}, 0), ${MAX_COUNT}::bigint)::bigint END`;
