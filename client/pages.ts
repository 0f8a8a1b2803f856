/** Pages of lists as callers get them: the items, and a cursor for the next page. */
import type { Page, PageKey, PageRange } from '../store/pages.ts';
import { LonghaulError } from '../contract/errors.ts';
import { isUuid } from './short-ids.ts';

export interface PageRequest {
  readonly limit: number;
  /** The `next_cursor` of the previous page. The format of a cursor is not part of the interface. */
  readonly cursor?: string;
}

export interface ListPage<Item> {
  readonly items: readonly Item[];
  /** Null if this is the last page. */
  readonly next_cursor: string | null;
}

/** Parses the page request of a caller. Fails with `invalid_input` for an invalid cursor. */
export function pageRange({ limit, cursor }: PageRequest): PageRange {
  return {
    limit,
    ...(cursor === undefined ? {} : { after: keyOf(cursor, 'cursor', 'next_cursor of an earlier page') }),
  };
}

/**
 * Parses a cursor that the request has under another name, such as `before`, because a response may have several lists.
 */
export function rangeBefore(limit: number, before: string | undefined, from: string): PageRange {
  return { limit, ...(before === undefined ? {} : { after: keyOf(before, 'before', `${from} of an earlier answer`) }) };
}

/** Encodes the cursor of the next page. Null if there is none. */
export const cursorOf = (next: PageKey | undefined): string | null =>
  next ? Buffer.from(`${next.at} ${next.id}`).toString('base64url') : null;

export function listPage<Row, Item>(page: Page<Row>, shown: (row: Row) => Item): ListPage<Item> {
  return { items: page.items.map(shown), next_cursor: cursorOf(page.next) };
}

function keyOf(cursor: string, name: string, expected: string): PageKey {
  const [at = '', id = '', more] = Buffer.from(cursor, 'base64url').toString('utf8').split(' ');
  if (more === undefined && /^-?\d{1,16}$/.test(at) && isUuid(id)) return { at: Number(at), id };
  throw new LonghaulError('invalid_input', `${name}: expected the ${expected}, found something else.`);
}
