/** Finds rows by the beginning of their id. */
import type { TaskId } from '../contract/ids.ts';
import type { Db } from './sql.ts';

/**
 * The kinds of rows whose ids a user types, with their tables and with the text that helps the user to distinguish the
 * rows.
 */
const SOURCES = {
  task: (db: Db) => db`SELECT id, created_at AS at, concat_ws(' · ', state, left(input, 200)) AS label FROM tasks`,
  session: (db: Db) => db`SELECT id, created_at AS at, left(name, 200) AS label FROM sessions`,
  change: (db: Db) => db`SELECT id, created_at AS at, concat_ws(' · ', state, file_path) AS label FROM pending_changes`,
  permission: (db: Db) => db`SELECT id, requested_at AS at, state AS label FROM permissions`,
  rule: (db: Db) => db`SELECT id, created_at AS at, effect AS label FROM permission_rules`,
};
/** Returns the task to which a change or a permission request belongs. */
export async function taskOf(db: Db, kind: 'change' | 'permission', id: string): Promise<TaskId | undefined> {
  const [row] = await db<{ task_id: TaskId | null }[]>`
    SELECT task_id FROM ${db(kind === 'change' ? 'pending_changes' : 'permissions')} WHERE id = ${id}`;
  return row?.task_id ?? undefined;
}

export type IdKind = keyof typeof SOURCES;

export interface IdCandidate {
  readonly id: string;
  readonly label: string | null;
}

/** `begins` contains only hexadecimal digits and dashes. */
export type WantedIds = ({ readonly is: string } | { readonly begins: string }) & { readonly limit: number };

/** Returns the ids that match, the newest row first. */
export async function idsByPrefix(db: Db, kind: IdKind, wanted: WantedIds): Promise<IdCandidate[]> {
  const rows = await db<IdCandidate[]>`
    SELECT id, label FROM (${SOURCES[kind](db)}) AS source
     WHERE ${'is' in wanted ? db`id = ${wanted.is}` : db`id::text LIKE ${`${wanted.begins}%`}`}
     ORDER BY at DESC NULLS LAST, id LIMIT ${wanted.limit}`;
  return [...rows];
}
