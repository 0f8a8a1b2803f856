/** Lists the permission requests of agents, and answers them. */
import * as permissions from '../frames/permissions.ts';
import type { PermissionAnswer } from '../frames/permissions.ts';
import type { Sql } from '../store/sql.ts';
import type { PermissionFilter } from '../store/permissions.ts';
import type { PermissionId } from '../contract/ids.ts';

export type { Permission } from '../frames/permissions.ts';
export { PERMISSION_STATES } from '../store/permissions.ts';

interface Deps {
  readonly sql: Sql;
}

/** Lists at most 500 requests, the oldest first. */
export const listPermissions = ({ sql }: Deps, filter: PermissionFilter = {}): Promise<permissions.Permission[]> =>
  permissions.listPermissions(sql, filter);

/** Returns one request. Fails with `permission_not_found`. */
export const getPermission = ({ sql }: Deps, id: PermissionId): Promise<permissions.Permission> =>
  permissions.getPermission(sql, id);

/**
 * Answers a request. Fails with `permission_not_found`, `permission_answered` or, for an answer that the agent does not
 * offer, `invalid_input`.
 */
export const answerPermission = ({ sql }: Deps, answer: PermissionAnswer): Promise<permissions.Permission> =>
  permissions.answerPermission(sql, answer);
