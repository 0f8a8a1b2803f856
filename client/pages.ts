/** Pages of lists as programs see them: items, and a cursor for what comes after. */
import type { Page, PageKey, PageWish } from '../store/pages.ts';
import { LonghaulError } from '../workflows/errors.ts';
import { isUuid } from './short-ids.ts';

export interface PageRequest {
  readonly limit: number;
  /** `next_cursor` of the page before. Nobody should look into it. */
  readonly cursor?: string;
}

export interface ListPage<Item> {
  readonly items: readonly Item[];
  /** Null: nothing comes after. */
  readonly next_cursor: string | null;
}

/** Fails with `invalid_input` for what is no cursor of ours. */
export function pageWish({ limit, cursor }: PageRequest): PageWish {
  return { limit, ...(cursor === undefined ? {} : { after: keyOf(cursor) }) };
}

export function listPage<Row, Item>(page: Page<Row>, shown: (row: Row) => Item): ListPage<Item> {
  const { next } = page;
  return {
    items: page.items.map(shown),
    next_cursor: next ? Buffer.from(`${next.at} ${next.id}`).toString('base64url') : null,
  };
}

function keyOf(cursor: string): PageKey {
  const [at = '', id = '', more] = Buffer.from(cursor, 'base64url').toString('utf8').split(' ');
  if (more === undefined && /^-?\d{1,16}$/.test(at) && isUuid(id)) return { at: Number(at), id };
  throw new LonghaulError(
    'invalid_input',
    'cursor: expected the next_cursor of an earlier page, found something else.',
  );
}
