/** Finds and adds the project to which a directory belongs. */
import { realpath, stat } from 'node:fs/promises';
import { basename, dirname, isAbsolute, join } from 'node:path';
import { refuseOutside } from '../store/project-roots.ts';
import { findOrAddProject, findProjectView, projectIdsOf, projectPage, type ProjectView } from '../store/projects.ts';
import type { Db, Sql } from '../store/sql.ts';
import type { ProjectId } from '../contract/ids.ts';
import { isErrno, LonghaulError } from '../contract/errors.ts';
import { isBare } from './repository-check.ts';
import { listPage, type ListPage, type PageRequest, pageRange } from './pages.ts';

export interface ProjectAtPath {
  readonly id: ProjectId;
  readonly path: string;
  readonly added: boolean;
}

/** Returns the project of the repository that contains `path`. Adds the project if it is new. */
export async function projectAt(
  db: Db,
  path: string,
  roots: readonly string[] = [],
  name?: string,
): Promise<ProjectAtPath> {
  const top = await repositoryAt(path);
  await refuseOutside(top, roots);
  return { ...(await findOrAddProject(db, { path: top, name: name ?? (basename(top) || top) })), path: top };
}

/** Finds projects by a folder inside their repository, or by their name. Fails with `project_not_found`. */
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
  /** False if the repository already had a project. That project keeps its name. */
  readonly added: boolean;
}

/** Adds the project of the repository that contains `path`. Fails as `projectAt` does. */
export async function addProject(
  { sql, projectRoots }: { readonly sql: Sql; readonly projectRoots?: readonly string[] },
  { path, name }: { readonly path: string; readonly name?: string },
): Promise<AddedProject> {
  const { id, added } = await projectAt(sql, path, projectRoots, name);
  const project = await findProjectView(sql, id);
  if (!project) throw new LonghaulError('project_not_found', `Project ${id} was removed meanwhile.`);
  return { project, added };
}

/** Lists projects, the newest first. */
export async function listProjects({ sql }: { readonly sql: Sql }, page: PageRequest): Promise<ListPage<ProjectView>> {
  return listPage(await projectPage(sql, pageRange(page)), (project) => project);
}

/**
 * Returns the real path of the nearest directory, at or above `path`, that has a `.git`. It only checks that `.git`
 * exists. Whether git accepts the directory as a repository is checked where git runs.
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

/**
 * Checks `.git` as git does: it is a file, or a folder that contains a HEAD. The HEAD is checked because some programs
 * leave empty `.git` folders.
 */
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
      throw new LonghaulError('project_missing', `${path} cannot be read: this user does not have the permission.`, {
        cause: error,
      });
    }
    if (!isErrno(error, 'ENOENT', 'ENOTDIR', 'ENAMETOOLONG', 'ELOOP')) throw error;
    throw new LonghaulError('project_missing', `${path} does not exist on this machine.`, { cause: error });
  }
  if ((await stat(real)).isDirectory()) return real;
  throw new LonghaulError('invalid_input', `project path: expected a directory, found a file at ${real}.`);
}

/** Returns false also for a path that this user may not read, because Longhaul cannot use a repository there. */
async function isReachable(path: string): Promise<boolean> {
  try {
    await stat(path);
    return true;
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENOTDIR', 'EACCES', 'EPERM')) return false;
    throw error;
  }
}
