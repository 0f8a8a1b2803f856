/**
 * Lists a page at a time, newest first. A page begins after the last row of the one before (a keyset, not an offset):
 * rows that are inserted or deleted meanwhile make no row appear twice or be skipped. Rows without a time are listed as of 1970,
 * rows with a time that is infinite or far away at the nearer bound, because any program may write any time.
 */
import type { Db } from './sql.ts';

/** The last row of a page: its time in microseconds since 1970, as exact as Postgres keeps it, and its id. */
export interface PageKey {
  readonly at: number;
  readonly id: string;
}

export interface PageRange {
  readonly limit: number;
  /** Absent: from the newest. */
  readonly after?: PageKey;
}

export interface Page<Row> {
  readonly items: readonly Row[];
  /** `undefined`: there is nothing after this page. */
  readonly next?: PageKey;
}

// In a statement the listed table is called t. The expression is that of the indexes.
// The bounds keep its microseconds an exact number in JavaScript.
const age = (db: Db) => db`
  least(greatest(coalesce(t.created_at, 'epoch'::timestamptz), '1700-01-01 00:00:00+00'::timestamptz), '2250-01-01 00:00:00+00'::timestamptz)`;

/** One more column, for `cutPage`. */
export const pageColumn = (db: Db) => db`(extract(epoch FROM ${age(db)}) * 1000000)::bigint AS page_at`;

/** A condition for WHERE. */
export function isAfter(db: Db, { after }: PageRange) {
  if (!after) return db`true`;
  return db`(${age(db)}, t.id) < ('epoch'::timestamptz + ${after.at}::bigint * interval '1 microsecond', ${after.id}::uuid)`;
}

export const newestFirst = (db: Db) => db`ORDER BY ${age(db)} DESC, t.id DESC`;

/** The end of the statement: one row more than asked for tells whether there is a next page. */
export const pageEnd = (db: Db, { limit }: PageRange) => db`${newestFirst(db)} LIMIT ${limit + 1}`;

/** A time of `t` as ISO 8601 in UTC, as in frames. Null also for a time that ISO 8601 cannot express (`infinity`, 44 BC). */
export const isoTime = (db: Db, column: string) => db`
  CASE WHEN t.${db(column)} >= '0001-01-01 00:00:00+00' AND t.${db(column)} < '10000-01-01 00:00:00+00'
       THEN to_char(t.${db(column)} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') END AS ${db(column)}`;

/** Longer text of a row is cut in lists, so that a page has a size that can be sent. */
const SHOWN_CHARS = 5_000;

/** Text columns of the table `from`, each followed by a comma. */
export const shownText = (db: Db, from: string, ...columns: readonly string[]) =>
  columns.map((column) => db`left(${db(from)}.${db(column)}::text, ${SHOWN_CHARS}) AS ${db(column)},`);

export function cutPage<Row extends { readonly id: string; readonly page_at: number }>(
  rows: readonly Row[],
  { limit }: PageRange,
): Page<Omit<Row, 'page_at'>> {
  const shown = rows.slice(0, limit);
  const last = shown.at(-1);
  return {
    items: shown.map(({ page_at: _at, ...row }) => row),
    ...(last && rows.length > limit ? { next: { at: last.page_at, id: last.id } } : {}),
  };
}
