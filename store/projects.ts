/** Projects: git repositories on a host. */
import type { ProjectId } from '../workflows/contract.ts';
import type { Db } from './sql.ts';

export interface ProjectRow {
  readonly id: ProjectId;
  readonly name: string | null;
  readonly path: string | null;
}

export async function findProject(db: Db, id: ProjectId): Promise<ProjectRow | undefined> {
  const [row] = await db<ProjectRow[]>`SELECT id, name, path FROM projects WHERE id = ${id}`;
  return row;
}

/**
 * The project of this path, added if there is none. Existing tables may hold a path twice, so no unique index helps: a
 * lock on the path's hash, held to the end of the transaction or statement, keeps two callers from adding it at once.
 */
export async function findOrAddProject(db: Db, project: { path: string; name: string }): Promise<ProjectId> {
  const [found] = await db<{ id: ProjectId }[]>`
    SELECT id FROM projects WHERE path = ${project.path} ORDER BY created_at, id LIMIT 1`;
  if (found) return found.id;
  // The lock is a statement before the one that looks again: a statement's view is from before its locks.
  const add = async (tx: Db): Promise<ProjectId> => {
    await tx`SELECT pg_advisory_xact_lock(hashtextextended(${project.path}, 4706002))`;
    const [row] = await tx<{ id: ProjectId }[]>`
      WITH known AS (SELECT id FROM projects WHERE path = ${project.path} ORDER BY created_at, id LIMIT 1),
      added AS (INSERT INTO projects (name, path) SELECT ${project.name}, ${project.path}
                 WHERE NOT EXISTS (SELECT FROM known) RETURNING id)
      SELECT id FROM known UNION ALL SELECT id FROM added`;
    if (!row) throw new TypeError('a project was neither found nor added');
    return row.id;
  };
  return 'begin' in db ? db.begin(add) : add(db);
}
