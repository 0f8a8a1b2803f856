/**
 * Lists a page at a time, newest first. A page begins after the last row of the one before (a keyset, not an offset):
 * rows that come or go meanwhile make none appear twice or be left out. Rows without a time come last, as of 1970.
 */
import type { Db } from './sql.ts';

/** The last row of a page: its time in microseconds since 1970, as exact as Postgres keeps it, and its id. */
export interface PageKey {
  readonly at: number;
  readonly id: string;
}

export interface PageWish {
  readonly limit: number;
  /** None: from the newest. */
  readonly after?: PageKey;
}

export interface Page<Row> {
  readonly items: readonly Row[];
  /** `undefined`: there is nothing after this page. */
  readonly next?: PageKey;
}

// In a statement the listed table is called t. The expression is that of the indexes.
const age = (db: Db) => db`coalesce(t.created_at, 'epoch'::timestamptz)`;

/** One more column, for `cutPage`. */
export const pageColumn = (db: Db) => db`(extract(epoch FROM ${age(db)}) * 1000000)::bigint AS page_at`;

/** A condition for WHERE. */
export function isAfter(db: Db, { after }: PageWish) {
  if (!after) return db`true`;
  return db`(${age(db)}, t.id) < ('epoch'::timestamptz + ${after.at}::bigint * interval '1 microsecond', ${after.id}::uuid)`;
}

/** The end of the statement: one row more than asked for tells whether there is a next page. */
export const pageEnd = (db: Db, { limit }: PageWish) => db`ORDER BY ${age(db)} DESC, t.id DESC LIMIT ${limit + 1}`;

/** A time of `t` as ISO 8601 in UTC, as frames have them. */
export const isoTime = (db: Db, column: string) =>
  db`to_char(t.${db(column)} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') AS ${db(column)}`;

export function cutPage<Row extends { readonly id: string; readonly page_at: number }>(
  rows: readonly Row[],
  { limit }: PageWish,
): Page<Omit<Row, 'page_at'>> {
  const shown = rows.slice(0, limit);
  const last = shown.at(-1);
  return {
    items: shown.map(({ page_at: _at, ...row }) => row),
    ...(last && rows.length > limit ? { next: { at: last.page_at, id: last.id } } : {}),
  };
}
