/**
 * Applies, undoes and rejects changes. A request is stored as a row, and the workflow `apply` carries it out on the
 * host that has the checkout. If the same request is sent again before the action has ended, both callers wait for the
 * same action.
 */
import type { Client } from '@temporalio/client';
import { setTimeout as sleep } from 'node:timers/promises';
import { type ActionKind, type ActionState, WORKING_TREE } from '../contract/change-actions.ts';
import { type ErrorCode, LonghaulError } from '../contract/errors.ts';
import { type ActionId, type ChangeId, shortId } from '../contract/ids.ts';
import { actionWorkflowId, WORKFLOW_QUEUE, WORKFLOW_TASK_TIMEOUT } from '../contract/names.ts';
import {
  type ActionRow,
  actionsOf,
  changeExists,
  findAction,
  rejectChange as storeRejection,
  requestAction,
  type RequestedAction,
} from '../store/change-actions.ts';
import { hostNames } from '../store/hosts.ts';
import type { Db, Sql } from '../store/sql.ts';

export interface ChangeActionDeps {
  readonly sql: Sql;
  readonly temporal: Client;
}

export interface ActedFile {
  /** The file's path, relative to the top folder of the checkout. */
  readonly path: string;
  /** The bytes of the path in base64. Present only if the path is not UTF-8. */
  readonly path_bytes?: string;
  readonly status: 'added' | 'modified' | 'deleted';
}

/** One action on a change, as the API and the CLI show it. */
export interface ChangeAction {
  readonly id: ActionId;
  readonly change_id: ChangeId;
  readonly kind: ActionKind;
  readonly state: ActionState;
  readonly target: string;
  /** The interface through which the request came. */
  readonly by: string;
  readonly requested_at: string;
  /** Null if the action has not ended. */
  readonly ended_at: string | null;
  /** The top folder of the checkout. Null until the action has a journal. */
  readonly checkout: string | null;
  readonly files: readonly ActedFile[];
  readonly error_code: ErrorCode | null;
  readonly message: string | null;
}

export interface WantedAction {
  readonly changeId: ChangeId;
  readonly kind: Exclude<ActionKind, 'reject'>;
  readonly by: string;
  /** How long to wait for the end of the action, in milliseconds. By default there is no limit. */
  readonly waitMs?: number;
}

/** Timeout of the call that starts the workflow. After this time the call counts as failed. */
const START_MS = 5_000;
const POLL_MS = { first: 20, longest: 250 } as const;

/**
 * Applies or undoes a change. Returns the action when it is done, or after `waitMs` in its present state. Fails with
 * `change_not_found`; with `change_decided` if the state of the change does not allow the action; or with the error of
 * an action that was refused, e.g. `change_conflict`, whose message names the files.
 */
export async function actOnChange(deps: ChangeActionDeps, wanted: WantedAction): Promise<ChangeAction> {
  const { changeId, kind, by, waitMs = Number.POSITIVE_INFINITY } = wanted;
  const [host] = await hostNames(deps.sql);
  if (!(await changeExists(deps.sql, changeId))) throw notFound(changeId);
  if (host === undefined)
    throw new LonghaulError('service_unreachable', 'No worker has run with this database yet: run `longhaul up -d`.');
  const requested = await requestAction(deps.sql, { changeId, kind, target: WORKING_TREE, by });
  const actionId = actionOf(requested, changeId, kind);
  await deps.temporal.withDeadline(Date.now() + START_MS, () =>
    deps.temporal.workflow.start('apply', {
      taskQueue: WORKFLOW_QUEUE,
      workflowId: actionWorkflowId(kind, changeId),
      args: [{ actionId, host }],
      workflowTaskTimeout: WORKFLOW_TASK_TIMEOUT,
      workflowIdConflictPolicy: 'USE_EXISTING',
      // A change that was undone may be applied again, so the workflow id may be reused. A run for an action that has
      // ended does nothing.
      workflowIdReusePolicy: 'ALLOW_DUPLICATE',
    }),
  );
  return ended(await endOf(deps.sql, actionId, Date.now() + waitMs));
}

/** Rejects a change. Fails with `change_not_found` or `change_decided`. */
export async function rejectChange(
  { sql }: { readonly sql: Sql },
  changeId: ChangeId,
  by: string,
): Promise<ChangeAction> {
  const actionId = actionOf(await storeRejection(sql, { changeId, by }), changeId, 'reject');
  return shown(await found(sql, actionId));
}

/** Returns the actions on a change, the oldest first. */
export async function changeActions({ sql }: { readonly sql: Db }, changeId: ChangeId): Promise<ChangeAction[]> {
  return (await actionsOf(sql, changeId)).map(shown);
}

const notFound = (id: ChangeId): LonghaulError => new LonghaulError('change_not_found', `There is no change ${id}.`);

const PAST: Record<ActionKind, string> = { apply: 'applied', undo: 'undone', reject: 'rejected' };

function actionOf(requested: RequestedAction, changeId: ChangeId, kind: ActionKind): ActionId {
  switch (requested.kind) {
    case 'requested':
      return requested.actionId;
    case 'missing':
      throw notFound(changeId);
    case 'busy':
      throw new LonghaulError(
        'change_decided',
        `Change ${shortId(changeId)} cannot be ${PAST[kind]} now: it is being ${PAST[requested.action.kind]}, requested at ${requested.action.requested_at.toISOString()}. \`longhaul ${requested.action.kind} ${shortId(changeId)}\` waits for the end.`,
      );
    case 'superseded':
      throw new LonghaulError(
        'change_decided',
        `Change ${shortId(changeId)} cannot be ${PAST[kind]}: it is ${requested.state ?? 'gone'}.${NEXT[requested.state ?? ''] ?? ''}`,
      );
  }
}

const NEXT: Readonly<Record<string, string>> = {
  pending: ' Only a change that Longhaul has applied can be undone.',
  applied: ' `longhaul undo` takes it out of the checkout again.',
};

async function endOf(sql: Sql, id: ActionId, deadline: number): Promise<ActionRow> {
  for (let pauseMs: number = POLL_MS.first; ; pauseMs = Math.min(pauseMs * 2, POLL_MS.longest)) {
    const action = await found(sql, id);
    if (action.ended_at !== null || Date.now() + pauseMs > deadline) return action;
    await sleep(pauseMs);
  }
}

async function found(sql: Sql, id: ActionId): Promise<ActionRow> {
  const action = await findAction(sql, id);
  if (action) return action;
  throw new LonghaulError('change_not_found', 'The change was removed meanwhile.');
}

function ended(action: ActionRow): ChangeAction {
  if (action.state !== 'refused') return shown(action);
  throw new LonghaulError(action.error_code ?? 'internal_error', action.message ?? 'The action was refused.');
}

function shown({
  journal,
  paths: _paths,
  requested_by: by,
  requested_at,
  ended_at,
  ...action
}: ActionRow): ChangeAction {
  return {
    ...action,
    by,
    requested_at: requested_at.toISOString(),
    ended_at: ended_at?.toISOString() ?? null,
    ...placeIn(journal),
  };
}

interface StoredEntry {
  readonly path: string;
  readonly path_bytes?: string;
  readonly was: unknown;
  readonly becomes: unknown;
}

/** The journal was written by `changes/journal.ts`, so it is not validated again. */
function placeIn(journal: unknown): Pick<ChangeAction, 'checkout' | 'files'> {
  if (journal === null) return { checkout: null, files: [] };
  const { checkout, entries } = journal as { checkout: string; entries: readonly StoredEntry[] };
  const files = entries.map(({ path, path_bytes, was, becomes }): ActedFile => {
    const status = was === null ? 'added' : becomes === null ? 'deleted' : 'modified';
    return { path, ...(path_bytes !== undefined && { path_bytes }), status };
  });
  return { checkout, files };
}
