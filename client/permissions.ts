/** Permission requests of agents: which wait, and their answers. An answer counts once, whichever way it comes. */
import { permissionOptionsIn, toolCallIn } from '../frames/message-json.ts';
import {
  answerPermission as answerRow,
  findPermission,
  listPermissions as listRows,
  type PermissionFilter,
  type PermissionRow,
} from '../store/permissions.ts';
import type { Sql } from '../store/sql.ts';
import { LonghaulError } from '../contract/errors.ts';
import { type PermissionId, shortId } from '../contract/ids.ts';
import type { PermissionOption, ToolCall } from '../contract/vocabulary.ts';
import { missing } from './short-ids.ts';

export { PERMISSION_STATES } from '../store/permissions.ts';

type Times = 'requested_at' | 'answered_at' | 'expires_at';

/** A request as readers see it. Times are ISO 8601, UTC. */
export interface Permission extends Omit<PermissionRow, Times | 'options' | 'tool_call' | 'title'> {
  /** What the agent wants to do, with the command in full where there is one. */
  readonly title: string;
  readonly options: readonly PermissionOption[];
  readonly tool_call: ToolCall | null;
  readonly requested_at: string;
  readonly answered_at: string | null;
  /** Then `default_option` answers. */
  readonly expires_at: string | null;
}

interface Deps {
  readonly sql: Sql;
}

const MAX_LISTED = 500;

/** Oldest first, at most 500. */
export async function listPermissions({ sql }: Deps, filter: PermissionFilter = {}): Promise<Permission[]> {
  return (await listRows(sql, filter, MAX_LISTED)).map(permissionOf);
}

/** Fails with `permission_not_found`. */
export async function getPermission({ sql }: Deps, id: PermissionId): Promise<Permission> {
  const row = await findPermission(sql, id);
  if (!row) throw missing('permission', id);
  return permissionOf(row);
}

export interface PermissionAnswer {
  readonly id: PermissionId;
  /** The id of an offered option; or `allow`, `deny`: the first offered option that does so, once before always. */
  readonly answer: string;
  /** Stored with the answer. */
  readonly message?: string;
  /** Which way the answer came, e.g. `cli`. */
  readonly by: string;
}

const KINDS: Readonly<Record<string, readonly PermissionOption['kind'][]>> = {
  allow: ['allow_once', 'allow_always'],
  deny: ['reject_once', 'reject_always'],
};

/**
 * Fails with `permission_not_found`, with `permission_answered` (it has an answer, or its agent no longer waits), or with
 * `invalid_input` for an answer that the agent does not offer.
 */
export async function answerPermission(deps: Deps, { id, answer, message, by }: PermissionAnswer): Promise<Permission> {
  const asked = await getPermission(deps, id);
  const optionId = optionOf(asked, answer);
  const outcome = await answerRow(deps.sql, { id, optionId, message, by });
  switch (outcome.kind) {
    case 'missing':
      throw missing('permission', id);
    case 'unknown_option':
      throw notOffered(asked, answer);
    case 'superseded':
      throw new LonghaulError('permission_answered', answeredText(permissionOf(outcome.permission)));
    case 'answered':
      return permissionOf(outcome.permission);
  }
}

function optionOf(asked: Permission, answer: string): string {
  const { options } = asked;
  if (options.some(({ option_id: optionId }) => optionId === answer)) return answer;
  const kinds = Object.hasOwn(KINDS, answer) ? (KINDS[answer] ?? []) : [];
  const [found] = kinds.flatMap((kind) => options.filter((option) => option.kind === kind));
  if (!found) throw notOffered(asked, answer);
  return found.option_id;
}

function notOffered({ options }: Permission, answer: string): LonghaulError {
  const offered = options.map(({ option_id: optionId, name }) => `${optionId} (${name})`).join(', ') || 'none';
  return new LonghaulError(
    'invalid_input',
    `answer: expected allow, deny or one of the offered options ${offered}, found ${JSON.stringify(answer)}.`,
  );
}

/** What became of a request that is no longer pending. */
function answeredText({ id, state, chosen, options, answered_by: by }: Permission): string {
  const name = options.find(({ option_id: optionId }) => optionId === chosen)?.name ?? chosen;
  if (chosen === null) return `Permission ${shortId(id)} is ${state}: its agent no longer waits for an answer.`;
  return `Permission ${shortId(id)} has its answer already: ${name} (by ${by ?? 'another program'}).`;
}

function permissionOf(row: PermissionRow): Permission {
  const toolCall = toolCallIn(row.tool_call);
  return {
    ...row,
    title: row.title ?? toolCall?.title ?? '',
    options: permissionOptionsIn(row.options),
    tool_call: toolCall,
    requested_at: row.requested_at.toISOString(),
    answered_at: row.answered_at?.toISOString() ?? null,
    expires_at: row.expires_at?.toISOString() ?? null,
  };
}
