/** From a directory to the project of its repository. */
import { realpath, stat } from 'node:fs/promises';
import { basename, dirname, isAbsolute, join } from 'node:path';
import { refuseOutside } from '../store/project-roots.ts';
import { findOrAddProject, findProjectView, projectIdsOf, projectPage, type ProjectView } from '../store/projects.ts';
import type { Db, Sql } from '../store/sql.ts';
import type { ProjectId } from '../contract/ids.ts';
import { isErrno, LonghaulError } from '../contract/errors.ts';
import { isBare } from './repository-check.ts';
import { listPage, type ListPage, type PageRequest, pageRange } from './pages.ts';

export interface ProjectPlace {
  readonly id: ProjectId;
  readonly path: string;
  readonly added: boolean;
}

/** The project of the repository that `path` lies in; added if it is new. */
export async function projectAt(
  db: Db,
  path: string,
  roots: readonly string[] = [],
  name?: string,
): Promise<ProjectPlace> {
  const top = await repositoryAt(path);
  await refuseOutside(top, roots);
  return { ...(await findOrAddProject(db, { path: top, name: name ?? (basename(top) || top) })), path: top };
}

/** Projects by a folder in their repository, or by their name. Fails with `project_not_found`. */
export async function findProjects({ sql }: { readonly sql: Db }, text: string): Promise<ProjectId[]> {
  const path = isAbsolute(text) ? await repositoryAt(text).catch(() => null) : null;
  const ids = await projectIdsOf(sql, { path, name: basename(text) });
  if (ids.length > 0) return ids;
  throw new LonghaulError(
    'project_not_found',
    `There is no project ${text}: expected a folder in its repository, or its name.`,
  );
}

export interface AddedProject {
  readonly project: ProjectView;
  /** False: the repository already had a project, which keeps its name. */
  readonly added: boolean;
}

/** Fails as `projectAt` does. */
export async function addProject(
  { sql, projectRoots }: { readonly sql: Sql; readonly projectRoots?: readonly string[] },
  { path, name }: { readonly path: string; readonly name?: string },
): Promise<AddedProject> {
  const { id, added } = await projectAt(sql, path, projectRoots, name);
  const project = await findProjectView(sql, id);
  if (!project) throw new LonghaulError('project_not_found', `Project ${id} was removed meanwhile.`);
  return { project, added };
}

/** Newest first. */
export async function listProjects({ sql }: { readonly sql: Sql }, page: PageRequest): Promise<ListPage<ProjectView>> {
  return listPage(await projectPage(sql, pageRange(page)), (project) => project);
}

/**
 * Real path of the nearest directory at or above `path` that has a `.git`. Only looks: whether git takes it for a
 * repository is found where git runs.
 */
export async function repositoryAt(path: string): Promise<string> {
  if (!isAbsolute(path)) {
    throw new LonghaulError('invalid_input', `project path: expected an absolute path, found ${JSON.stringify(path)}.`);
  }
  const start = await directoryAt(path);
  for (let dir = start; ; dir = dirname(dir)) {
    if (await holdsRepository(dir)) return dir;
    if (dirname(dir) === dir) break;
  }
  if (await isBare(start)) {
    throw new LonghaulError('not_a_repository', `${start} is a bare repository. Give the path of a checkout of it.`);
  }
  throw new LonghaulError(
    'not_a_repository',
    `${start} is not in a git repository: no .git in it or above it. Run \`git init\` there and commit once.`,
  );
}

/** As git looks: a `.git` file, or a folder with a HEAD; programs leave empty `.git` folders about. */
async function holdsRepository(dir: string): Promise<boolean> {
  const dotGit = join(dir, '.git');
  return (
    (await isReachable(dotGit)) && (!(await stat(dotGit)).isDirectory() || (await isReachable(join(dotGit, 'HEAD'))))
  );
}

async function directoryAt(path: string): Promise<string> {
  let real: string;
  try {
    real = await realpath(path);
  } catch (error) {
    if (isErrno(error, 'EACCES', 'EPERM')) {
      throw new LonghaulError('project_missing', `${path} cannot be looked at: we may not.`, { cause: error });
    }
    if (!isErrno(error, 'ENOENT', 'ENOTDIR', 'ENAMETOOLONG', 'ELOOP')) throw error;
    throw new LonghaulError('project_missing', `${path} does not exist on this machine.`, { cause: error });
  }
  if ((await stat(real)).isDirectory()) return real;
  throw new LonghaulError('invalid_input', `project path: expected a directory, found a file at ${real}.`);
}

/** False also for a path that we may not look into: it has no repository for us. */
async function isReachable(path: string): Promise<boolean> {
  try {
    await stat(path);
    return true;
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENOTDIR', 'EACCES', 'EPERM')) return false;
    throw error;
  }
}
