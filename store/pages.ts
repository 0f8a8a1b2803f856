/**
 * Reads lists in pages, the newest row first. A page begins after the last row of the previous page (a keyset, not an
 * offset). So a row that is inserted or deleted meanwhile makes no other row appear twice or be skipped. A row without
 * a time is listed as of 1970. A row whose time is infinite or far away is listed at the nearer limit, because any
 * program may write any time.
 */
import type { Db } from './sql.ts';

/** The last row of a page: its id, and its time in microseconds since 1970, which is the precision of Postgres. */
export interface PageKey {
  readonly at: number;
  readonly id: string;
}

export interface PageRange {
  readonly limit: number;
  /** The page begins after this row. If absent, it begins with the newest row. */
  readonly after?: PageKey;
}

export interface Page<Row> {
  readonly items: readonly Row[];
  /** `undefined` if this is the last page. */
  readonly next?: PageKey;
}

// The listed table has the alias t in the statement. The indexes use the same expression. The limits keep the
// microseconds an exact number in JavaScript.
const age = (db: Db) => db`
  least(greatest(coalesce(t.created_at, 'epoch'::timestamptz), '1700-01-01 00:00:00+00'::timestamptz), '2250-01-01 00:00:00+00'::timestamptz)`;

/** SQL: the additional column that `cutPage` reads. */
export const pageColumn = (db: Db) => db`(extract(epoch FROM ${age(db)}) * 1000000)::bigint AS page_at`;

/** SQL: the condition that selects the rows after the previous page. */
export function isAfter(db: Db, { after }: PageRange) {
  if (!after) return db`true`;
  return db`(${age(db)}, t.id) < ('epoch'::timestamptz + ${after.at}::bigint * interval '1 microsecond', ${after.id}::uuid)`;
}

export const newestFirst = (db: Db) => db`ORDER BY ${age(db)} DESC, t.id DESC`;

/** SQL: the end of the statement. It selects one row more than requested, which shows whether there is a next page. */
export const pageEnd = (db: Db, { limit }: PageRange) => db`${newestFirst(db)} LIMIT ${limit + 1}`;

/**
 * SQL: a time column of `t` as ISO 8601 in UTC, the format of frames. Also null for a time that ISO 8601 cannot express
 * (`infinity`, 44 BC).
 */
export const isoTime = (db: Db, column: string) => db`
  CASE WHEN t.${db(column)} >= '0001-01-01 00:00:00+00' AND t.${db(column)} < '10000-01-01 00:00:00+00'
       THEN to_char(t.${db(column)} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') END AS ${db(column)}`;

/** The maximum length of a text in a list. Longer text is cut, so that the size of a page is limited. */
const SHOWN_CHARS = 5_000;

/** SQL: the text columns of the table `from`, cut to SHOWN_CHARS, each followed by a comma. */
export const shownText = (db: Db, from: string, ...columns: readonly string[]) =>
  columns.map((column) => db`left(${db(from)}.${db(column)}::text, ${SHOWN_CHARS}) AS ${db(column)},`);

/** Returns one page of the rows that the statement selected, without the additional row and the additional column. */
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
