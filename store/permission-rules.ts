/** Stores the rules that answer permission requests. */
import type { PermissionId, ProjectId, RuleId, SessionId, TaskId } from '../contract/ids.ts';
import type { PermissionRule, RuleEffect, RuleMatch } from '../contract/permission-rules.ts';
import type { Db } from './sql.ts';
import { wellFormedText } from './well-formed.ts';

export interface RuleRow extends PermissionRule {
  readonly created_at: Date;
}

/** The task, session or project to which a rule applies. */
export type RuleTarget =
  { readonly taskId: TaskId } | { readonly sessionId: SessionId } | { readonly projectId: ProjectId };

export interface NewRule {
  readonly place: RuleTarget;
  readonly effect: RuleEffect;
  readonly match: RuleMatch;
  /** If true, the rule is compared before all other rules of its task, session or project, else after them. */
  readonly first?: boolean | undefined;
  readonly permissionId?: PermissionId | undefined;
}

const columns = (db: Db) => db`
  r.id, CASE WHEN r.task_id IS NOT NULL THEN 'task' WHEN r.session_id IS NOT NULL THEN 'session' ELSE 'project' END AS scope,
  r.effect, r.tool_kind, r.path_glob, r.command_pattern, r.task_id, r.session_id, r.project_id, r.permission_id, r.created_at`;

const inOrder = (db: Db) => db`ORDER BY r.task_id IS NULL, r.session_id IS NULL, r.position, r.created_at, r.id`;

/** Inserts a rule and returns it. Returns undefined if the task, session or project does not exist. */
export async function insertRule(db: Db, rule: NewRule): Promise<RuleRow | undefined> {
  const { place, effect, match, first = false, permissionId } = rule;
  const [table, column, id] = 'taskId' in place ? ['tasks', 'task_id', place.taskId] : 'sessionId' in place ? ['sessions', 'session_id', place.sessionId] : ['projects', 'project_id', place.projectId]; // prettier-ignore
  const text = (value: string | null): string | null => (value === null ? null : wellFormedText(value));
  const [row] = await db<RuleRow[]>`
    INSERT INTO permission_rules AS r (${db(column)}, position, effect, tool_kind, path_glob, command_pattern, permission_id)
    SELECT p.id, (SELECT CASE WHEN ${first} THEN coalesce(min(o.position), 1) - 1 ELSE coalesce(max(o.position), 0) + 1 END
                    FROM permission_rules o WHERE o.${db(column)} = p.id),
           ${effect}, ${text(match.tool_kind)}, ${text(match.path_glob)}, ${text(match.command_pattern)}, ${permissionId ?? null}
      FROM ${db(table)} p WHERE p.id = ${id}
    RETURNING ${columns(db)}`;
  return row;
}

/** Returns all rules that apply to the task, in the order in which they are compared. */
export async function rulesOfTask(db: Db, taskId: TaskId): Promise<RuleRow[]> {
  return db<RuleRow[]>`
    SELECT ${columns(db)} FROM tasks t
      JOIN permission_rules r ON r.task_id = t.id OR r.session_id = t.session_id OR r.project_id = t.project_id
     WHERE t.id = ${taskId} ${inOrder(db)}`;
}

/** Returns all rules that would apply to a new task of the session. */
export async function rulesOfSession(db: Db, sessionId: SessionId): Promise<RuleRow[]> {
  return db<RuleRow[]>`
    SELECT ${columns(db)} FROM sessions s JOIN permission_rules r ON r.session_id = s.id OR r.project_id = s.project_id
     WHERE s.id = ${sessionId} ${inOrder(db)}`;
}

export async function rulesOfProject(db: Db, projectId: ProjectId): Promise<RuleRow[]> {
  return db<RuleRow[]>`SELECT ${columns(db)} FROM permission_rules r WHERE r.project_id = ${projectId} ${inOrder(db)}`;
}

export async function allRules(db: Db, limit: number): Promise<RuleRow[]> {
  return db<RuleRow[]>`SELECT ${columns(db)} FROM permission_rules r ${inOrder(db)} LIMIT ${limit}`;
}

/** Deletes a rule and returns it. */
export async function deleteRule(db: Db, id: RuleId): Promise<RuleRow | undefined> {
  const [row] = await db<RuleRow[]>`DELETE FROM permission_rules r WHERE r.id = ${id} RETURNING ${columns(db)}`;
  return row;
}
