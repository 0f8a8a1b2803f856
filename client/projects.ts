/** From a directory to the project that stands for its repository. */
import { realpath, stat } from 'node:fs/promises';
import { basename, dirname, isAbsolute, join } from 'node:path';
import { refuseOutside } from '../store/project-roots.ts';
import { findOrAddProject } from '../store/projects.ts';
import type { Db } from '../store/sql.ts';
import type { ProjectId } from '../workflows/contract.ts';
import { isErrno, LonghaulError } from '../workflows/errors.ts';

export interface ProjectPlace {
  readonly id: ProjectId;
  readonly path: string;
}

/** The project of the repository that `path` lies in; added if it is new. */
export async function projectAt(db: Db, path: string, roots: readonly string[] = []): Promise<ProjectPlace> {
  const top = await repositoryAt(path);
  await refuseOutside(top, roots);
  return { id: await findOrAddProject(db, { path: top, name: basename(top) || top }), path: top };
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
  throw new LonghaulError(
    'not_a_repository',
    `${start} is not in a git repository: no .git in it or above it. Run \`git init\` there and commit once.`,
  );
}

/** As git looks: a `.git` file, or a folder with a HEAD; programs leave empty `.git` folders about. */
async function holdsRepository(dir: string): Promise<boolean> {
  const dotGit = join(dir, '.git');
  return (await exists(dotGit)) && (!(await stat(dotGit)).isDirectory() || (await exists(join(dotGit, 'HEAD'))));
}

async function directoryAt(path: string): Promise<string> {
  let real: string;
  try {
    real = await realpath(path);
  } catch (error) {
    if (!isErrno(error, 'ENOENT', 'ENOTDIR')) throw error;
    throw new LonghaulError('project_missing', `${path} does not exist on this machine.`, { cause: error });
  }
  if ((await stat(real)).isDirectory()) return real;
  throw new LonghaulError('invalid_input', `project path: expected a directory, found a file at ${real}.`);
}

async function exists(path: string): Promise<boolean> {
  try {
    await stat(path);
    return true;
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENOTDIR')) return false;
    throw error;
  }
}
