/** Resolves ids as users type them: a complete id, or a beginning that only one id has. */
import { type IdCandidate, type IdKind, idsByPrefix } from '../store/short-ids.ts';
import type { Db } from '../store/sql.ts';
import type { ChangeId, PermissionId, RuleId, SessionId, TaskId } from '../contract/ids.ts';
import { type ErrorCode, LonghaulError } from '../contract/errors.ts';

const MIN_PREFIX = 4;
const SHOWN = 5;
const LABEL_CHARS = 60;
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

export interface IdOf {
  readonly task: TaskId;
  readonly session: SessionId;
  readonly change: ChangeId;
  readonly permission: PermissionId;
  readonly rule: RuleId;
}

const MISSING: Record<IdKind, { readonly code: ErrorCode; readonly hint: string }> = {
  task: { code: 'task_not_found', hint: ' `longhaul ls` lists them.' },
  session: { code: 'session_not_found', hint: ' `longhaul ls --sessions` lists them.' },
  change: { code: 'change_not_found', hint: ' `longhaul ls --change pending` lists tasks with one.' },
  permission: { code: 'permission_not_found', hint: ' `longhaul prompts` lists those that wait.' },
  rule: { code: 'rule_not_found', hint: ' `longhaul rules` lists them.' },
};

export const isUuid = (text: string): boolean => UUID.test(text.toLowerCase());

/** Parses a complete id that a program passed. Fails with `invalid_input` for a text that is no uuid. */
export function parseId<Kind extends IdKind>(kind: Kind, text: string): IdOf[Kind] {
  if (typeof text === 'string' && isUuid(text)) return text.toLowerCase() as IdOf[Kind];
  throw new LonghaulError(
    'invalid_input',
    `${kind} id: expected a uuid, found ${JSON.stringify(text) ?? typeof text}.`,
  );
}

/**
 * Finds the id that is or begins with `text`. Returns `undefined` if there is none. Fails with `invalid_input` for a
 * text that cannot be an id, or with which several ids begin.
 */
export async function findId<Kind extends IdKind>(db: Db, kind: Kind, text: string): Promise<IdOf[Kind] | undefined> {
  const prefix = text.trim().toLowerCase();
  const wanted = isUuid(prefix) ? { is: prefix } : { begins: checkedPrefix(kind, prefix, text) };
  const candidates = await idsByPrefix(db, kind, { ...wanted, limit: SHOWN + 1 });
  const [only, second] = candidates;
  if (second) throw new LonghaulError('invalid_input', severalText(kind, text, candidates));
  return only?.id as IdOf[Kind] | undefined;
}

/**
 * Finds the id that is or begins with `text`. Fails with `…_not_found` if there is none, and with `invalid_input` as
 * `findId` does.
 */
export async function resolveId<Kind extends IdKind>(db: Db, kind: Kind, text: string): Promise<IdOf[Kind]> {
  const id = await findId(db, kind, text);
  if (id === undefined) throw notFoundError(kind, text);
  return id;
}

export function notFoundError(kind: IdKind, text: string): LonghaulError {
  const { code, hint } = MISSING[kind];
  return new LonghaulError(code, `There is no ${kind} ${text}.${hint}`);
}

function checkedPrefix(kind: IdKind, prefix: string, text: string): string {
  const found = `found ${JSON.stringify(text)}.`;
  if (!/^[0-9a-f-]*$/.test(prefix) || prefix.length > 36) {
    throw new LonghaulError('invalid_input', `${kind} id: expected a uuid or the beginning of one, ${found}`);
  }
  if (prefix.length < MIN_PREFIX) {
    throw new LonghaulError('invalid_input', `${kind} id: expected at least ${MIN_PREFIX} characters, ${found}`);
  }
  return prefix;
}

function severalText(kind: IdKind, text: string, candidates: readonly IdCandidate[]): string {
  const lines = candidates.slice(0, SHOWN).map(({ id, label }) => `\n  ${id}  ${oneLine(label ?? '')}`.trimEnd());
  const more = candidates.length > SHOWN ? '\n  …' : '';
  return `Several ${kind}s begin with ${text}: write more of the id.${lines.join('')}${more}`;
}

function oneLine(label: string): string {
  const line = label.split(/[\r\n]/, 1)[0] ?? '';
  return line.length > LABEL_CHARS ? `${line.slice(0, LABEL_CHARS - 1)}…` : line;
}
