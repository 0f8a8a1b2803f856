/** What can be asked about changes. */
import {
  type ChangeFilter,
  changePage,
  findChange,
  type ListedChange,
  type WholeChange,
} from '../store/change-views.ts';
import { findPatch } from '../store/diffs.ts';
import type { Db } from '../store/sql.ts';
import type { ChangeId } from '../workflows/contract.ts';
import { LonghaulError } from '../workflows/errors.ts';
import { listPage, type ListPage, type PageRequest, pageWish } from './pages.ts';

type WithActions<Change> = Change & {
  /** What can be asked of it now. So far nothing: a change cannot be applied or rejected yet. */
  readonly actions: readonly string[];
};

/** Newest first. */
export async function listChanges(
  { sql }: { readonly sql: Db },
  filter: ChangeFilter,
  page: PageRequest,
): Promise<ListPage<WithActions<ListedChange>>> {
  return listPage(await changePage(sql, filter, pageWish(page)), withActions);
}

/** With its diff. Fails with `change_not_found`. */
export async function getChange({ sql }: { readonly sql: Db }, id: ChangeId): Promise<WithActions<WholeChange>> {
  const change = await findChange(sql, id);
  if (!change) throw new LonghaulError('change_not_found', `There is no change ${id}.`);
  return withActions(change);
}

/** What git applies, byte for byte. Fails with `change_not_found`; also where another program has stored no patch. */
export async function getChangePatch({ sql }: { readonly sql: Db }, id: ChangeId): Promise<Buffer> {
  const patch = await findPatch(sql, id);
  if (patch) return patch;
  throw new LonghaulError('change_not_found', `There is no change ${id}, or it was stored without a patch.`);
}

const withActions = <Change>(change: Change): WithActions<Change> => ({ ...change, actions: [] });
