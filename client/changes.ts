/** Queries about changes. */
import {
  type ChangeFilter,
  changePage,
  findChange,
  type ListedChange,
  type WholeChange,
} from '../store/change-views.ts';
import { findPatch } from '../store/diffs.ts';
import type { Db } from '../store/sql.ts';
import type { ChangeId } from '../contract/ids.ts';
import { LonghaulError } from '../contract/errors.ts';
import { listPage, type ListPage, type PageRequest, pageRange } from './pages.ts';

type WithActions<Change> = Change & {
  /** Operations that it accepts now. None so far: a change cannot be applied or rejected yet. */
  readonly actions: readonly string[];
};

/** Newest first. */
export async function listChanges(
  { sql }: { readonly sql: Db },
  filter: ChangeFilter,
  page: PageRequest,
): Promise<ListPage<WithActions<ListedChange>>> {
  return listPage(await changePage(sql, filter, pageRange(page)), withActions);
}

export interface ShownChange extends WithActions<WholeChange> {
  /** `files` has the first ones only. */
  readonly files_truncated: boolean;
  /** How many there are. */
  readonly files_total: number;
}

/** With its diff, and `maxFiles` of its files. Fails with `change_not_found`. */
export async function getChange({ sql }: { readonly sql: Db }, id: ChangeId, maxFiles: number): Promise<ShownChange> {
  const change = await findChange(sql, id);
  if (!change) throw new LonghaulError('change_not_found', `There is no change ${id}.`);
  const { length } = change.files;
  return {
    ...withActions(change),
    files: change.files.slice(0, maxFiles),
    files_truncated: length > maxFiles,
    files_total: length,
  };
}

/** The patch, byte for byte. Fails with `change_not_found`, also if another program stored no patch. */
export async function getChangePatch({ sql }: { readonly sql: Db }, id: ChangeId): Promise<Buffer> {
  const patch = await findPatch(sql, id);
  if (patch) return patch;
  throw new LonghaulError('change_not_found', `There is no change ${id}, or it was stored without a patch.`);
}

const withActions = <Change>(change: Change): WithActions<Change> => ({ ...change, actions: [] });
