/**
 * Stores permission requests of agents and their answers. The row decides which answer counts: an answer from any
 * channel is a compare-and-set from `pending`. An answer is used for one request only, because the row is set to
 * `delivered` before the agent gets the answer.
 *
 * Must never happen: an answer is used for a request other than the one that the user saw, or for two requests. Not
 * covered: an attempt that ends after `delivered` was written and before the agent received the answer. The agent of
 * the next attempt then asks again.
 */
import { randomUUID } from 'node:crypto';
import type { Elicitation, FormContent } from '../contract/elicitation.ts';
import type { PermissionId, ProjectId, SessionId, TaskId } from '../contract/ids.ts';
import { scopeOfOption } from '../contract/permission-answer.ts';
import type { RuleMatch } from '../contract/permission-rules.ts';
import type { PermissionOption, ToolCall } from '../contract/vocabulary.ts';
import { appendKeyed } from './append-frames.ts';
import type { Db, Sql, Tx } from './sql.ts';
import { insertRule } from './permission-rules.ts';
import { wellFormed, wellFormedText } from './well-formed.ts';

export const PERMISSION_STATES = ['pending', 'answered', 'delivered', 'expired', 'cancelled', 'superseded'] as const;

export interface PermissionRequest {
  readonly taskId: TaskId;
  readonly sessionId: SessionId;
  readonly attempt: number;
  /** The attempt's fence token. */
  readonly token: string;
  /** The SHA-256 of the request's content, hexadecimal. Two requests with the same hash are equal. */
  readonly hash: string;
  readonly kind: string;
  readonly title: string;
  readonly toolCall: ToolCall;
  readonly options: readonly PermissionOption[];
  /** The form or the address, if the kind is `elicitation`. */
  readonly elicitation?: Elicitation | undefined;
  /** The matches of the rules that the answer "always" adds. */
  readonly always?: readonly RuleMatch[] | undefined;
  /** The number of seconds after which `defaultOption` is the answer. */
  readonly timeoutS?: number | undefined;
  readonly defaultOption?: string | undefined;
}

export type OpenedPermission =
  /** The attempt is outdated. Nothing was written. */
  | { readonly kind: 'superseded' }
  | { readonly kind: 'opened'; readonly id: PermissionId }
  /**
   * An earlier attempt sent an equal request. That request still waits, or has an answer that no agent has received.
   */
  | { readonly kind: 'found'; readonly id: PermissionId };

/**
 * Finds the request that an earlier attempt left open, if that request is equal; otherwise opens a new one. Unequal
 * requests of earlier attempts become superseded, because their agent no longer waits for them.
 */
export async function openPermission(sql: Sql, request: PermissionRequest): Promise<OpenedPermission> {
  const { taskId, sessionId, attempt } = request;
  return sql.begin(async (tx) => {
    const fence = await tx`SELECT FROM sessions WHERE id = ${sessionId} AND writer = ${request.token} FOR UPDATE`;
    if (fence.length === 0) return { kind: 'superseded' };
    const [left] = await tx<{ id: PermissionId }[]>`
      UPDATE permissions SET attempt = ${attempt}
       WHERE id = (SELECT id FROM permissions
                    WHERE task_id = ${taskId} AND request_hash = ${request.hash} AND attempt < ${attempt}
                      AND (state IN ('pending', 'answered') OR (state = 'expired' AND chosen IS NOT NULL AND delivered_at IS NULL))
                    ORDER BY requested_at, id LIMIT 1)
      RETURNING id`;
    if (left) return { kind: 'found', id: left.id };
    await close(tx, { taskId, sessionId, state: 'superseded', before: attempt });
    const id = randomUUID() as PermissionId;
    const { title, kind, options, always, toolCall, elicitation, timeoutS, defaultOption } = request;
    await tx`
      INSERT INTO permissions (id, task_id, session_id, attempt, request_hash, kind, title, options, tool_call, elicitation, always, expires_at, default_option)
      VALUES (${id}, ${taskId}, ${sessionId}, ${attempt}, ${request.hash}, ${kind}, ${wellFormedText(title)},
              ${tx.json(wellFormed(options) as never)}, ${tx.json(wellFormed(toolCall) as never)},
              ${elicitation ? tx.json(wellFormed(elicitation) as never) : null},
              ${always ? tx.json(wellFormed(always) as never) : null},
              clock_timestamp() + make_interval(secs => ${timeoutS ?? null}), ${defaultOption ?? null})`;
    await appendKeyed(tx, sessionId, [
      {
        key: `permission:${id}`,
        taskId,
        body: {
          type: 'permission_requested',
          permission_id: id,
          options,
          tool_call: toolCall,
          ...(elicitation && { elicitation }),
        },
      },
    ]);
    return { kind: 'opened', id };
  });
}

interface Closing {
  readonly taskId: TaskId;
  readonly sessionId: SessionId;
  readonly state: 'superseded' | 'cancelled';
  /** If set, only requests of attempts with a lower number are closed. */
  readonly before?: number;
}

/** Ends the task's requests that no agent waits for any more. */
async function close(tx: Tx, { taskId, sessionId, state, before }: Closing): Promise<void> {
  // all code locks the session before the permissions
  await tx`SELECT FROM sessions WHERE id = ${sessionId} FOR UPDATE`;
  const ended = await tx<{ id: PermissionId }[]>`
    UPDATE permissions SET state = ${state}, resolved_at = clock_timestamp()
     WHERE task_id = ${taskId} AND state IN ('pending', 'answered') AND attempt < ${before ?? 2 ** 31 - 1}
    RETURNING id`;
  const frames = ended.map(({ id }) => ({
    key: `permission:${id}:resolved`,
    taskId,
    body: { type: 'permission_resolved', permission_id: id } as const,
  }));
  if (frames.length > 0) await appendKeyed(tx, sessionId, frames);
}

/** Closes all requests of a task that ends. */
export const closePermissions = (tx: Tx, of: Omit<Closing, 'before'>): Promise<void> => close(tx, of);

export interface PermissionAnswer {
  readonly id: PermissionId;
  readonly optionId: string;
  readonly message?: string | undefined;
  /** The values of a form's fields. Present only for the answer to a form. */
  readonly content?: FormContent | undefined;
  /** The channel of the answer: `rest`, `cli`, `temporal`, `timeout`. */
  readonly by: string;
}

export type AnsweredPermission =
  | { readonly kind: 'missing' }
  /** Nothing was written, because the request has an answer or its agent no longer waits. */
  | { readonly kind: 'superseded'; readonly permission: PermissionRow }
  | { readonly kind: 'unknown_option'; readonly permission: PermissionRow }
  | { readonly kind: 'answered'; readonly permission: PermissionRow };

export interface PermissionRow {
  readonly id: PermissionId;
  readonly task_id: TaskId;
  readonly session_id: SessionId;
  readonly state: string;
  readonly kind: string;
  readonly title: string | null;
  /** Any JSON, because programs other than Longhaul may write rows. */
  readonly options: unknown;
  readonly tool_call: unknown;
  readonly elicitation: unknown;
  readonly content: unknown;
  readonly chosen: string | null;
  readonly message: string | null;
  readonly answered_by: string | null;
  readonly requested_at: Date;
  readonly answered_at: Date | null;
  readonly expires_at: Date | null;
  readonly default_option: string | null;
}

const columns = (db: Db) =>
  db`id, task_id, session_id, state, kind, title, options, tool_call, elicitation, content, chosen, message, answered_by, requested_at, answered_at, expires_at, default_option`;

/** Stores an answer: the row changes from pending to answered. */
export function answerPermission(
  sql: Sql,
  { id, optionId, message, content, by }: PermissionAnswer,
): Promise<AnsweredPermission> {
  return settle(sql, id, (row) =>
    optionIds(row.options).includes(optionId)
      ? { state: 'answered', chosen: optionId, message, content, by }
      : undefined,
  );
}

/**
 * Ends a request whose timeout has passed: the row changes from pending to expired, and the default option is its
 * answer. Without a default, or with one that the agent does not offer, the row has no answer.
 */
export function expirePermission(sql: Sql, id: PermissionId): Promise<AnsweredPermission> {
  return settle(sql, id, ({ default_option: option, options }) =>
    option !== null && optionIds(options).includes(option)
      ? { state: 'expired', chosen: option, by: 'timeout' }
      : { state: 'expired' },
  );
}

interface Settled {
  readonly state: 'answered' | 'expired';
  readonly chosen?: string;
  readonly message?: string | undefined;
  readonly content?: FormContent | undefined;
  readonly by?: string;
}

/**
 * Changes the row from pending to the outcome that `outcomeOf` returns. `outcomeOf` returns `undefined` for an option
 * that the agent does not offer.
 */
function settle(
  sql: Sql,
  id: PermissionId,
  outcomeOf: (row: PermissionRow) => Settled | undefined,
): Promise<AnsweredPermission> {
  return sql.begin(async (tx) => {
    const [known] = await tx<{ session_id: SessionId }[]>`SELECT session_id FROM permissions WHERE id = ${id}`;
    if (!known) return { kind: 'missing' };
    // The session is locked before the permission, as in `openPermission`.
    await tx`SELECT FROM sessions WHERE id = ${known.session_id} FOR UPDATE`;
    const [row] = await tx<PermissionRow[]>`SELECT ${columns(tx)} FROM permissions WHERE id = ${id} FOR UPDATE`;
    if (!row) return { kind: 'missing' };
    if (row.state !== 'pending') return { kind: 'superseded', permission: row };
    const outcome = outcomeOf(row);
    if (!outcome) return { kind: 'unknown_option', permission: row };
    const { state, chosen = null, message, content, by = null } = outcome;
    const [now] = await tx<PermissionRow[]>`
      UPDATE permissions
         SET state = ${state}, chosen = ${chosen}, message = ${message === undefined ? null : wellFormedText(message)},
             content = ${content === undefined ? null : tx.json(wellFormed(content))},
             answered_by = ${by}, resolved_at = clock_timestamp(),
             answered_at = CASE WHEN ${chosen}::text IS NULL THEN NULL ELSE clock_timestamp() END
       WHERE id = ${id} RETURNING ${columns(tx)}`;
    if (chosen !== null) await keepAlways(tx, row, chosen);
    const resolved = { type: 'permission_resolved', permission_id: id } as const;
    await appendKeyed(tx, row.session_id, [
      {
        key: `permission:${id}:resolved`,
        taskId: row.task_id,
        body: chosen === null ? resolved : { ...resolved, chosen },
      },
    ]);
    return { kind: 'answered', permission: now ?? row };
  });
}

/** Inserts the rules that the answer "always" adds. */
async function keepAlways(
  tx: Tx,
  { id, task_id: taskId, session_id: sessionId }: PermissionRow,
  optionId: string,
): Promise<void> {
  const scope = scopeOfOption(optionId);
  if (scope === undefined) return;
  const [row] = await tx<{ always: unknown; project_id: ProjectId | null }[]>`
    SELECT p.always, t.project_id FROM permissions p JOIN tasks t ON t.id = p.task_id WHERE p.id = ${id} AND t.id = ${taskId}`;
  if (!row || (scope === 'project' && row.project_id === null)) return;
  const place = scope === 'session' || row.project_id === null ? { sessionId } : { projectId: row.project_id };
  for (const match of matchesIn(row.always)) await insertRule(tx, { place, effect: 'allow', match, permissionId: id });
}

/**
 * Parses the column `always`, which may have any JSON, because other programs may write rows. A match without a path
 * and a command is omitted, because such a rule would allow everything.
 */
function matchesIn(always: unknown): RuleMatch[] {
  const list: unknown[] = Array.isArray(always) ? always : [];
  return list.flatMap((one) => {
    const { tool_kind, path_glob, command_pattern } = (one ?? {}) as Partial<Record<keyof RuleMatch, unknown>>;
    const text = (value: unknown): string | null => (typeof value === 'string' ? value : null);
    const match = { tool_kind: text(tool_kind), path_glob: text(path_glob), command_pattern: text(command_pattern) };
    return match.path_glob === null && match.command_pattern === null ? [] : [match];
  });
}

const optionIds = (options: unknown): string[] =>
  (Array.isArray(options) ? options : []).flatMap((one: unknown) =>
    typeof one === 'object' && one !== null && 'option_id' in one && typeof one.option_id === 'string'
      ? [one.option_id]
      : [],
  );

/**
 * Records that the answer is delivered, before the agent gets the answer. Returns false if the attempt is outdated, or
 * if another attempt delivered the answer.
 */
export async function deliverAnswer(
  sql: Sql,
  { id, sessionId, token }: { id: PermissionId; sessionId: SessionId; token: string },
): Promise<boolean> {
  const rows = await sql`
    WITH fence AS (SELECT id FROM sessions WHERE id = ${sessionId} AND writer = ${token} FOR SHARE)
    UPDATE permissions p SET delivered_at = clock_timestamp(), state = CASE p.state WHEN 'expired' THEN p.state ELSE 'delivered' END
      FROM fence WHERE p.id = ${id} AND p.state IN ('answered', 'expired') AND p.delivered_at IS NULL
    RETURNING p.id`;
  return rows.length > 0;
}

interface SettledPermission {
  readonly id: PermissionId;
  readonly row: PermissionRow | undefined;
}

/**
 * Returns those of the requests `ids` that are no longer pending or whose timeout has passed. `row` is absent if
 * another program deleted the row.
 */
export async function settledPermissions(db: Db, ids: readonly PermissionId[]): Promise<SettledPermission[]> {
  const wanted = [...ids];
  const rows = await db<(PermissionRow & { readonly is_settled: boolean })[]>`
    SELECT ${columns(db)}, coalesce(state <> 'pending' OR expires_at <= clock_timestamp(), false) AS is_settled
      FROM permissions WHERE id = ANY (${wanted})`;
  const found = new Map(rows.map(({ is_settled: isSettled, ...row }) => [row.id, { isSettled, row }]));
  return wanted.flatMap((id): SettledPermission[] => {
    const one = found.get(id);
    if (!one) return [{ id, row: undefined }];
    return one.isSettled ? [{ id, row: one.row }] : [];
  });
}

/** Returns the pending requests of one task, the oldest first. */
export async function pendingPermissions(db: Db, taskId: TaskId): Promise<PermissionRow[]> {
  return db<PermissionRow[]>`
    SELECT ${columns(db)} FROM permissions WHERE task_id = ${taskId} AND state = 'pending' ORDER BY requested_at, id`;
}

export interface PermissionFilter {
  readonly state?: string;
  readonly taskId?: TaskId;
  readonly sessionId?: SessionId;
}

/** Returns at most `limit` requests, the oldest first. */
export async function listPermissions(db: Db, filter: PermissionFilter, limit: number): Promise<PermissionRow[]> {
  const { state, taskId, sessionId } = filter;
  return db<PermissionRow[]>`
    SELECT ${columns(db)} FROM permissions
     WHERE ${state === undefined ? db`true` : db`state = ${state}`}
       AND ${taskId === undefined ? db`true` : db`task_id = ${taskId}`}
       AND ${sessionId === undefined ? db`true` : db`session_id = ${sessionId}`}
     ORDER BY requested_at, id LIMIT ${limit}`;
}

export async function findPermission(db: Db, id: PermissionId): Promise<PermissionRow | undefined> {
  const [row] = await db<PermissionRow[]>`SELECT ${columns(db)} FROM permissions WHERE id = ${id}`;
  return row;
}
