/** Adds, lists and removes the rules that answer permission requests. */
import { frameTime } from '../frames/frame-in.ts';
import * as store from '../store/permission-rules.ts';
import type { RuleTarget, RuleRow } from '../store/permission-rules.ts';
import type { Sql } from '../store/sql.ts';
import { LonghaulError } from '../contract/errors.ts';
import type { RuleId } from '../contract/ids.ts';
import type { PermissionRule, RuleEffect, RuleMatch } from '../contract/permission-rules.ts';
import { notFoundError } from './short-ids.ts';

export type { RuleTarget } from '../store/permission-rules.ts';

interface Deps {
  readonly sql: Sql;
}

export interface Rule extends PermissionRule {
  /** ISO 8601, UTC. */
  readonly created_at: string;
}

export interface RuleToAdd {
  readonly place: RuleTarget;
  readonly effect: RuleEffect;
  readonly match: Partial<RuleMatch>;
  /** If true, the rule is compared before all other rules of its task, session or project, else after them. */
  readonly first?: boolean;
}

const MAX_LISTED = 500;

/** Adds a rule. Fails with `invalid_input`, `task_not_found`, `session_not_found` or `project_not_found`. */
export async function addRule({ sql }: Deps, rule: RuleToAdd): Promise<Rule> {
  const match = checkedMatch(rule.match);
  const row = await store.insertRule(sql, { ...rule, match });
  if (row) return ruleOf(row);
  throw missingPlace(rule.place);
}

/** Lists the rules that apply to a task, a session or a project, in the order in which they are compared. */
export async function listRules({ sql }: Deps, place?: RuleTarget): Promise<Rule[]> {
  return (await rowsOf(sql, place)).map(ruleOf);
}

function rowsOf(sql: Sql, place: RuleTarget | undefined): Promise<RuleRow[]> {
  if (place === undefined) return store.allRules(sql, MAX_LISTED);
  if ('taskId' in place) return store.rulesOfTask(sql, place.taskId);
  return 'sessionId' in place ? store.rulesOfSession(sql, place.sessionId) : store.rulesOfProject(sql, place.projectId);
}

/** Removes a rule and returns it. Fails with `rule_not_found`. */
export async function removeRule({ sql }: Deps, id: RuleId): Promise<Rule> {
  const row = await store.deleteRule(sql, id);
  if (!row) throw notFoundError('rule', id);
  return ruleOf(row);
}

const ruleOf = (row: RuleRow): Rule => ({ ...row, created_at: frameTime(row.created_at) });

function missingPlace(place: RuleTarget): LonghaulError {
  if ('taskId' in place) return notFoundError('task', place.taskId);
  if ('sessionId' in place) return notFoundError('session', place.sessionId);
  return new LonghaulError('project_not_found', `There is no project ${place.projectId}.`);
}

/** Checks the values of a rule and returns them. Fails with `invalid_input`. */
export function checkedMatch({
  tool_kind = null,
  path_glob = null,
  command_pattern = null,
}: Partial<RuleMatch>): RuleMatch {
  const wrong = wrongMatch({ tool_kind, path_glob, command_pattern });
  if (wrong !== undefined) throw new LonghaulError('invalid_input', wrong);
  return { tool_kind, path_glob, command_pattern };
}

function wrongMatch({ tool_kind: kind, path_glob: glob, command_pattern: command }: RuleMatch): string | undefined {
  if (kind === null && glob === null && command === null)
    return 'rule: expected a tool_kind, a path_glob or a command_pattern, found none. The policy of a task applies to all requests.';
  if (glob !== null && command !== null)
    return 'rule: expected a path_glob or a command_pattern, found both. A path does not limit what a command does.';
  if (command !== null && kind !== null && kind !== 'execute')
    return `rule: expected the tool_kind execute beside a command_pattern, found ${JSON.stringify(kind)}.`;
  if (glob !== null && (glob.startsWith('/') || glob.split('/').includes('..')))
    return `path_glob: expected a path relative to the worktree, without "..", found ${JSON.stringify(glob)}.`;
  return undefined;
}
