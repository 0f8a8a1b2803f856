/**
 * Stores the transitions of a change and of the actions on it. Each transition is a compare-and-set. A transition of
 * the change appends its frame in the same transaction.
 *
 * Must never happen: two actions run on one change at the same time; a file is written for an action whose journal is
 * not stored; a change is `applied` although its action was taken back.
 */
import type { ActionKind, ActionState } from '../contract/change-actions.ts';
import type { ErrorCode } from '../contract/errors.ts';
import type { ActionId, ChangeId, SessionId, TaskId } from '../contract/ids.ts';
import type { ChangeState } from '../contract/vocabulary.ts';
import { appendKeyed } from './append-frames.ts';
import type { Db, Sql, Tx } from './sql.ts';
import type { Superseded } from './transition.ts';
import { wellFormedText } from './well-formed.ts';

/** For each action: the states of a change from which it may start, and the state that it gives the change. */
export const ACTIONS: Readonly<
  Record<ActionKind, { readonly from: readonly ChangeState[]; readonly to: ChangeState }>
> = {
  apply: { from: ['pending', 'undone'], to: 'applied' },
  undo: { from: ['applied'], to: 'undone' },
  reject: { from: ['pending'], to: 'rejected' },
};

export interface ActionRequest {
  readonly changeId: ChangeId;
  readonly kind: ActionKind;
  readonly target: string;
  /** The interface through which the request came. */
  readonly by: string;
}

export type RequestedAction =
  | { readonly kind: 'missing' }
  /** `actionId` is the id of the new action, or of an equal action that has not ended. */
  | { readonly kind: 'requested'; readonly actionId: ActionId }
  /** Another action on the change has not ended. */
  | { readonly kind: 'busy'; readonly action: ActionRow }
  | Superseded;

export interface ActionRow {
  readonly id: ActionId;
  readonly change_id: ChangeId;
  readonly kind: ActionKind;
  readonly state: ActionState;
  readonly target: string;
  readonly requested_by: string;
  readonly requested_at: Date;
  readonly ended_at: Date | null;
  readonly error_code: ErrorCode | null;
  readonly message: string | null;
  readonly paths: unknown;
  /** The journal. Null until `storeJournal` has stored it. */
  readonly journal: unknown;
}

const columns = (db: Db) =>
  db`id, change_id, kind, state, target, requested_by, requested_at, ended_at, error_code, message, paths, journal`;

interface LockedChange {
  readonly state: string;
  readonly session_id: SessionId | null;
  readonly task_id: TaskId | null;
}

/**
 * Locks the session's row before the row of the change. All code takes these locks in this order, so that no deadlock
 * occurs.
 */
async function lockChange(tx: Tx, changeId: ChangeId): Promise<LockedChange | undefined> {
  await tx`SELECT FROM sessions WHERE id = (SELECT session_id FROM pending_changes WHERE id = ${changeId}) FOR UPDATE`;
  const [change] = await tx<LockedChange[]>`
    SELECT state, session_id, task_id FROM pending_changes WHERE id = ${changeId} FOR UPDATE`;
  return change;
}

/** Returns the action on the change that has not ended. */
async function openAction(tx: Tx, changeId: ChangeId): Promise<ActionRow | undefined> {
  const [open] = await tx<ActionRow[]>`
    SELECT ${columns(tx)} FROM change_actions WHERE change_id = ${changeId} AND ended_at IS NULL`;
  return open;
}

/** Stores the request to apply or undo a change. */
export function requestAction(sql: Sql, { changeId, kind, target, by }: ActionRequest): Promise<RequestedAction> {
  return sql.begin(async (tx) => {
    const change = await lockChange(tx, changeId);
    if (!change) return { kind: 'missing' };
    const open = await openAction(tx, changeId);
    if (open) {
      const isEqual = open.kind === kind && open.target === target;
      return isEqual ? { kind: 'requested', actionId: open.id } : { kind: 'busy', action: open };
    }
    if (!isFrom(kind, change.state)) return { kind: 'superseded', state: change.state };
    const [row] = await tx<{ id: ActionId }[]>`
      INSERT INTO change_actions (change_id, kind, target, requested_by)
      VALUES (${changeId}, ${kind}, ${target}, ${by}) RETURNING id`;
    if (!row) throw new TypeError('an inserted row is returned');
    return { kind: 'requested', actionId: row.id };
  });
}

const isFrom = (kind: ActionKind, state: string): boolean => (ACTIONS[kind].from as readonly string[]).includes(state);

/** Rejects a change. No step of a workflow is needed, because no file changes. */
export function rejectChange(
  sql: Sql,
  { changeId, by }: Pick<ActionRequest, 'changeId' | 'by'>,
): Promise<RequestedAction> {
  return sql.begin(async (tx) => {
    const change = await lockChange(tx, changeId);
    if (!change) return { kind: 'missing' };
    const open = await openAction(tx, changeId);
    if (open) return { kind: 'busy', action: open };
    if (!isFrom('reject', change.state)) return { kind: 'superseded', state: change.state };
    const [row] = await tx<{ id: ActionId }[]>`
      INSERT INTO change_actions (change_id, kind, target, requested_by, state, ended_at)
      VALUES (${changeId}, 'reject', 'none', ${by}, 'done', clock_timestamp()) RETURNING id`;
    if (!row) throw new TypeError('an inserted row is returned');
    await moveChange(tx, change, { id: row.id, change_id: changeId, kind: 'reject', requested_by: by });
    return { kind: 'requested', actionId: row.id };
  });
}

async function moveChange(
  tx: Tx,
  change: LockedChange,
  action: Pick<ActionRow, 'id' | 'change_id' | 'kind' | 'requested_by'>,
): Promise<void> {
  const { to } = ACTIONS[action.kind];
  await tx`UPDATE pending_changes SET state = ${to} WHERE id = ${action.change_id}`;
  if (change.session_id === null) return;
  await appendKeyed(tx, change.session_id, [
    {
      key: `change:${action.id}`,
      ...(change.task_id && { taskId: change.task_id }),
      body: { type: 'change_state', change_id: action.change_id, state: to, by: action.requested_by },
    },
  ]);
}

export type ActionMove = { readonly kind: 'moved' } | Superseded;

async function movedOrNow(db: Db, id: ActionId, rows: readonly unknown[]): Promise<ActionMove> {
  if (rows.length > 0) return { kind: 'moved' };
  const [now] = await db<{ state: string }[]>`SELECT state FROM change_actions WHERE id = ${id}`;
  return { kind: 'superseded', state: now?.state };
}

/** Stores the journal. Files may be written only after the journal is stored. */
export async function storeJournal(db: Db, id: ActionId, journal: object): Promise<ActionMove> {
  const rows = await db`
    UPDATE change_actions SET state = 'writing', journal = ${db.json(journal as never)}, error_code = NULL, message = NULL
     WHERE id = ${id} AND state = 'requested' RETURNING id`;
  return movedOrNow(db, id, rows);
}

export interface ActionFailure {
  readonly code: ErrorCode;
  readonly message: string;
  readonly paths?: readonly object[];
}

/** Records why an attempt failed. The action has not ended, because Temporal retries the step. */
export async function noteFailure(db: Db, id: ActionId, { code, message }: ActionFailure): Promise<void> {
  await db`
    UPDATE change_actions SET error_code = ${code}, message = ${wellFormedText(message)}
     WHERE id = ${id} AND state IN ('requested', 'writing')`;
}

/** Records that the files that were written are being restored, and why. */
export async function beginTakingBack(db: Db, id: ActionId, failure: ActionFailure): Promise<ActionMove> {
  const rows = await db`
    UPDATE change_actions SET state = 'taking_back', ${failed(db, failure)}
     WHERE id = ${id} AND state = 'writing' RETURNING id`;
  return movedOrNow(db, id, rows);
}

const failed = (db: Db, { code, message, paths }: ActionFailure) => db`
  error_code = ${code}, message = ${wellFormedText(message)}, paths = ${paths ? db.json([...paths] as never) : null}`;

/** Ends an action that wrote nothing, or whose files were all restored. */
export async function refuseAction(db: Db, id: ActionId, failure: ActionFailure): Promise<ActionMove> {
  const rows = await db`
    UPDATE change_actions SET state = 'refused', ended_at = clock_timestamp(), ${failed(db, failure)}
     WHERE id = ${id} AND state IN ('requested', 'taking_back') RETURNING id`;
  return movedOrNow(db, id, rows);
}

/** Ends an action whose files are all written, and makes the change applied or undone. */
export function finishAction(sql: Sql, id: ActionId): Promise<ActionMove> {
  return sql.begin(async (tx) => {
    const [known] = await tx<{ change_id: ChangeId }[]>`SELECT change_id FROM change_actions WHERE id = ${id}`;
    if (!known) return { kind: 'superseded', state: undefined };
    const change = await lockChange(tx, known.change_id);
    const rows = await tx<Pick<ActionRow, 'id' | 'change_id' | 'kind' | 'requested_by'>[]>`
      UPDATE change_actions SET state = 'done', ended_at = clock_timestamp(), error_code = NULL, message = NULL
       WHERE id = ${id} AND state = 'writing' RETURNING id, change_id, kind, requested_by`;
    const [row] = rows;
    if (!row) return movedOrNow(tx, id, rows);
    // A program other than Longhaul may have written another state.
    if (change && isFrom(row.kind, change.state)) await moveChange(tx, change, row);
    return { kind: 'moved' };
  });
}

export interface ActionToRun extends ActionRow {
  readonly project_path: string | null;
  readonly base_commit: string | null;
  readonly result_commit: string | null;
}

/**
 * Returns the action with the values that its step needs. Returns undefined if the action or its change was removed.
 */
export async function actionToRun(db: Db, id: ActionId): Promise<ActionToRun | undefined> {
  const [row] = await db<ActionToRun[]>`
    SELECT a.id, a.change_id, a.kind, a.state, a.target, a.requested_by, a.requested_at, a.ended_at, a.error_code, a.message,
           a.paths, a.journal, c.base_commit, c.result_commit,
           coalesce((SELECT p.path FROM projects p WHERE p.id = coalesce(k.project_id, s.project_id)), c.file_path) AS project_path
      FROM change_actions a JOIN pending_changes c ON c.id = a.change_id
      LEFT JOIN tasks k ON k.id = c.task_id LEFT JOIN sessions s ON s.id = c.session_id
     WHERE a.id = ${id}`;
  return row;
}

/** Returns the journal of the action that applied the change. Returns undefined if Longhaul did not apply it. */
export async function appliedJournal(db: Db, changeId: ChangeId): Promise<unknown> {
  const [row] = await db<{ journal: unknown }[]>`
    SELECT journal FROM change_actions WHERE change_id = ${changeId} AND kind = 'apply' AND state = 'done'
     ORDER BY ended_at DESC LIMIT 1`;
  return row?.journal ?? undefined;
}

/** Returns the tasks of the older pending changes of the same session, the oldest first. */
export async function earlierPending(db: Db, changeId: ChangeId): Promise<TaskId[]> {
  const rows = await db<{ task_id: TaskId }[]>`
    SELECT o.task_id FROM pending_changes c JOIN pending_changes o ON o.session_id = c.session_id
     WHERE c.id = ${changeId} AND o.id <> c.id AND o.created_at < c.created_at AND o.state IN ('pending', 'undone')
       AND o.task_id IS NOT NULL
     ORDER BY o.created_at LIMIT 5`;
  return rows.map((row) => row.task_id);
}

export async function changeExists(db: Db, id: ChangeId): Promise<boolean> {
  return (await db`SELECT FROM pending_changes WHERE id = ${id}`).length > 0;
}

export async function findAction(db: Db, id: ActionId): Promise<ActionRow | undefined> {
  const [row] = await db<ActionRow[]>`SELECT ${columns(db)} FROM change_actions WHERE id = ${id}`;
  return row;
}

/** Returns the actions on a change, the oldest first, at most 100. */
export async function actionsOf(db: Db, changeId: ChangeId): Promise<ActionRow[]> {
  return db<ActionRow[]>`
    SELECT ${columns(db)} FROM change_actions WHERE change_id = ${changeId} ORDER BY requested_at, id LIMIT 100`;
}
