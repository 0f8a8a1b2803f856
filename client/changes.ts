/** Queries changes for REST and the CLI. */
import {
  type ChangeFilter,
  changePage,
  findChange,
  type ListedChange,
  type WholeChange,
} from '../store/change-views.ts';
import { ACTIONS } from '../store/change-actions.ts';
import { findPatch } from '../store/diffs.ts';
import type { Db } from '../store/sql.ts';
import type { ChangeId } from '../contract/ids.ts';
import { LonghaulError } from '../contract/errors.ts';
import { type ChangeAction, changeActions } from './change-actions.ts';
import { listPage, type ListPage, type PageRequest, pageRange } from './pages.ts';

type WithActions<Change> = Change & {
  /** The operations that the change accepts now: some of `apply`, `undo`, `reject`. */
  readonly actions: readonly string[];
};

/** Lists changes, the newest first. */
export async function listChanges(
  { sql }: { readonly sql: Db },
  filter: ChangeFilter,
  page: PageRequest,
): Promise<ListPage<WithActions<ListedChange>>> {
  return listPage(await changePage(sql, filter, pageRange(page)), withActions);
}

export interface ShownChange extends WithActions<WholeChange> {
  /** True if `files` contains only the first files of the change. */
  readonly files_truncated: boolean;
  /** The number of files in the whole change. */
  readonly files_total: number;
  /** The actions on the change, the oldest first: who requested each, when, and which files it wrote. */
  readonly decisions: readonly ChangeAction[];
}

/** Returns the change with its diff and at most `maxFiles` of its files. Fails with `change_not_found`. */
export async function getChange({ sql }: { readonly sql: Db }, id: ChangeId, maxFiles: number): Promise<ShownChange> {
  const change = await findChange(sql, id);
  if (!change) throw new LonghaulError('change_not_found', `There is no change ${id}.`);
  const { length } = change.files;
  return {
    ...withActions(change),
    files: change.files.slice(0, maxFiles),
    files_truncated: length > maxFiles,
    files_total: length,
    decisions: (await changeActions({ sql }, id)).map((one) => ({ ...one, files: one.files.slice(0, maxFiles) })),
  };
}

/**
 * Returns the patch, byte for byte. Fails with `change_not_found`, also if the change was made by another program that
 * stored no patch.
 */
export async function getChangePatch({ sql }: { readonly sql: Db }, id: ChangeId): Promise<Buffer> {
  const patch = await findPatch(sql, id);
  if (patch) return patch;
  throw new LonghaulError('change_not_found', `There is no change ${id}, or it was stored without a patch.`);
}

const withActions = <Change extends { readonly state: string }>(change: Change): WithActions<Change> => ({
  ...change,
  actions: Object.entries(ACTIONS).flatMap(([name, { from }]) =>
    (from as readonly string[]).includes(change.state) ? [name] : [],
  ),
});
