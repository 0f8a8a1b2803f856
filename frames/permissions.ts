/**
 * Reads permission requests in the form that readers see, and stores their answers. A request accepts one answer, and
 * the answer may come through any channel.
 */
import { formAnswer } from './form-answer.ts';
import { frameTime } from './frame-in.ts';
import { elicitationIn, optionsIn, toolCallIn } from './message-json.ts';
import { isoOrNull } from './snapshot-messages.ts';
import {
  answerPermission as answerRow,
  findPermission,
  listPermissions as listRows,
  type PermissionFilter,
  type PermissionRow,
} from '../store/permissions.ts';
import type { Sql } from '../store/sql.ts';
import type { Elicitation, FormContent } from '../contract/elicitation.ts';
import { LonghaulError } from '../contract/errors.ts';
import { chosenOption, optionName } from '../contract/permission-answer.ts';
import { type PermissionId, shortId } from '../contract/ids.ts';
import type { PermissionOption, ToolCall } from '../contract/vocabulary.ts';

type Times = 'requested_at' | 'answered_at' | 'expires_at';

/** A request as readers see it. Times are ISO 8601, UTC. */
export interface Permission extends Omit<PermissionRow, Times | 'options' | 'tool_call' | 'elicitation' | 'title'> {
  /** The requested action, with the complete command if there is one. */
  readonly title: string;
  readonly options: readonly PermissionOption[];
  readonly tool_call: ToolCall | null;
  /** The form or the address. Null unless the request's kind is `elicitation`. */
  readonly elicitation: Elicitation | null;
  readonly requested_at: string;
  readonly answered_at: string | null;
  /** The time at which `default_option` becomes the answer. */
  readonly expires_at: string | null;
}

const MAX_LISTED = 500;

/** Returns at most 500 requests, the oldest first. */
export async function listPermissions(sql: Sql, filter: PermissionFilter = {}): Promise<Permission[]> {
  return (await listRows(sql, filter, MAX_LISTED)).map(permissionOf);
}

/** Returns one request. Fails with `permission_not_found`. */
export async function getPermission(sql: Sql, id: PermissionId): Promise<Permission> {
  const row = await findPermission(sql, id);
  if (!row) throw missing(id);
  return permissionOf(row);
}

export interface PermissionAnswer {
  readonly id: PermissionId;
  /**
   * The id of an offered option, or one of `allow`, `deny` and `always`, which select the first offered option with
   * that effect. An option that applies only once is preferred to one that applies always.
   */
  readonly answer: string;
  /** A message of the user that is stored with the answer. */
  readonly message?: string;
  /**
   * The values of a form's fields, by the names of the fields. Allowed only with the answer `accept`. A field that is
   * omitted gets its default.
   */
  readonly content?: unknown;
  /** The channel of the answer, e.g. `cli`. */
  readonly by: string;
}

/**
 * Answers a request. Fails with `permission_not_found`; with `permission_answered` if the request has an answer or its
 * agent no longer waits; with `invalid_input` if the agent does not offer the answer; or with `form_not_valid` if the
 * content does not fit the form.
 */
export async function answerPermission(
  sql: Sql,
  { id, answer, message, content, by }: PermissionAnswer,
): Promise<Permission> {
  const asked = await getPermission(sql, id);
  const optionId = chosenOption(asked.options, answer);
  if (optionId === undefined) throw notOffered(asked, answer);
  if (asked.state !== 'pending') throw alreadyAnswered(asked);
  const checked = contentFor(asked, optionId, content);
  const outcome = await answerRow(sql, { id, optionId, message, content: checked, by });
  switch (outcome.kind) {
    case 'missing':
      throw missing(id);
    case 'unknown_option':
      throw notOffered(asked, answer);
    case 'superseded':
      throw alreadyAnswered(permissionOf(outcome.permission));
    case 'answered':
      return permissionOf(outcome.permission);
  }
}

/** Returns the content in the form in which the agent receives it. Returns undefined if the answer has no content. */
function contentFor({ elicitation }: Permission, optionId: string, given: unknown): FormContent | undefined {
  if (elicitation?.mode === 'form' && optionId === 'accept') {
    const checked = formAnswer(elicitation, given ?? {});
    if (checked.kind === 'valid') return checked.content;
    const details = checked.parts.map(({ pointer, detail }) => `${pointer || '/'}: ${detail}`).join('; ');
    throw new LonghaulError('form_not_valid', `content does not fit the form: ${details}.`, { parts: checked.parts });
  }
  if (given === undefined) return undefined;
  const found = elicitation?.mode === 'form' ? `the answer ${optionId}` : 'a request without a form';
  throw new LonghaulError(
    'invalid_input',
    `content: expected it only with the answer accept to a form, found ${found}.`,
  );
}

const alreadyAnswered = (permission: Permission): LonghaulError =>
  new LonghaulError('permission_answered', answeredText(permission));

function missing(id: PermissionId): LonghaulError {
  return new LonghaulError(
    'permission_not_found',
    `There is no permission ${id}. \`longhaul prompts\` lists those that wait.`,
  );
}

function notOffered({ options }: Permission, answer: string): LonghaulError {
  const offered = options.map(({ option_id: optionId, name }) => `${optionId} (${name})`).join(', ') || 'none';
  return new LonghaulError(
    'invalid_input',
    `answer: expected allow, deny, always or one of the offered options ${offered}, found ${JSON.stringify(answer)}.`,
  );
}

/** Describes the outcome of a request that is no longer pending. */
function answeredText({ id, state, chosen, options, answered_by: by }: Permission): string {
  if (chosen === null) return `Permission ${shortId(id)} is ${state}: its agent no longer waits for an answer.`;
  return `Permission ${shortId(id)} has its answer already: ${optionName(options, chosen)} (by ${by ?? 'another program'}).`;
}

function permissionOf(row: PermissionRow): Permission {
  const toolCall = toolCallIn(row.tool_call);
  return {
    ...row,
    title: row.title ?? toolCall?.title ?? '',
    options: optionsIn(row.options),
    tool_call: toolCall,
    elicitation: elicitationIn(row.elicitation),
    requested_at: frameTime(row.requested_at),
    answered_at: isoOrNull(row.answered_at),
    expires_at: isoOrNull(row.expires_at),
  };
}
