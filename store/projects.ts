/** Stores projects. A project is a git repository on a host. */
import type { ProjectId } from '../contract/ids.ts';
import { cutPage, isAfter, isoTime, type Page, pageColumn, pageEnd, type PageRange, shownText } from './pages.ts';
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

/** Returns the ids of the projects that have this path or this name. */
export async function projectIdsOf(
  db: Db,
  { path, name }: { path: string | null; name: string },
): Promise<ProjectId[]> {
  const rows = await db<
    { id: ProjectId }[]
  >`SELECT id FROM projects WHERE path = ${path} OR name = ${name} ORDER BY id`;
  return rows.map((row) => row.id);
}

/** Returns the folders of all projects, each folder once. */
export async function projectFolders(db: Db): Promise<{ readonly id: ProjectId; readonly path: string }[]> {
  return [
    ...(await db<{ id: ProjectId; path: string }[]>`
      SELECT DISTINCT ON (path) id, path FROM projects WHERE path LIKE '/%' ORDER BY path, id`),
  ];
}

export interface FoundProject {
  readonly id: ProjectId;
  readonly added: boolean;
}

/**
 * Returns the project of this path. Adds the project if there is none. An adopted table may contain a path twice, so a
 * unique index is not possible. Instead, a lock on the path's hash, held until the transaction or statement ends,
 * prevents two callers from adding the same path.
 */
export async function findOrAddProject(db: Db, project: { path: string; name: string }): Promise<FoundProject> {
  const [found] = await db<{ id: ProjectId }[]>`
    SELECT id FROM projects WHERE path = ${project.path} ORDER BY created_at, id LIMIT 1`;
  if (found) return { id: found.id, added: false };
  // The lock is taken by an earlier statement than the second query, because the snapshot of a statement is older than
  // the locks that it takes.
  const add = async (tx: Db): Promise<FoundProject> => {
    await tx`SELECT pg_advisory_xact_lock(hashtextextended(${project.path}, 4706002))`;
    const [row] = await tx<FoundProject[]>`
      WITH known AS (SELECT id FROM projects WHERE path = ${project.path} ORDER BY created_at, id LIMIT 1),
      added AS (INSERT INTO projects (name, path) SELECT ${project.name}, ${project.path}
                 WHERE NOT EXISTS (SELECT FROM known) RETURNING id)
      SELECT id, false AS added FROM known UNION ALL SELECT id, true FROM added`;
    if (!row) throw new TypeError('a project was neither found nor added');
    return row;
  };
  return 'begin' in db ? db.begin(add) : add(db);
}

export interface ProjectView extends ProjectRow {
  readonly created_at: string | null;
}

export async function findProjectView(db: Db, id: ProjectId): Promise<ProjectView | undefined> {
  const [row] = await db<ProjectView[]>`
    SELECT t.id, t.name, t.path, ${isoTime(db, 'created_at')} FROM projects t WHERE t.id = ${id}`;
  return row;
}

export async function projectPage(db: Db, range: PageRange): Promise<Page<ProjectView>> {
  const rows = await db<(ProjectView & { readonly page_at: number })[]>`
    SELECT t.id, ${shownText(db, 't', 'name', 'path')} ${isoTime(db, 'created_at')}, ${pageColumn(db)}
      FROM projects t WHERE ${isAfter(db, range)} ${pageEnd(db, range)}`;
  return cutPage(rows, range);
}
