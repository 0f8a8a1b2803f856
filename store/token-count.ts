/** Token counts as they are shown. */
import type postgres from 'postgres';
import type { Db } from './sql.ts';

/** The largest integer that a JSON number carries exactly: 2^53 - 1. */
const MAX_COUNT = Number.MAX_SAFE_INTEGER;

/** Null stays null: no agent has reported a count. Any program may write a count below 0 or of any size. */
export const tokenCount = (db: Db, count: postgres.Fragment) =>
  db`CASE WHEN ${count} IS NOT NULL THEN least(greatest(${count}, 0), ${MAX_COUNT}::bigint)::bigint END`;
