/**
 * Checks whether a task can start from a repository, before the task exists. It reads the repository's files (see
 * gitrepository-layout) and runs no git. It refuses only repositories from which no task can start. For other storage
 * forms (reftables, links) the step that runs git decides.
 */
import { readdir, readFile, stat } from 'node:fs/promises';
import path from 'node:path';
import { isErrno, LonghaulError } from '../contract/errors.ts';

/** Throws `empty_repository` if the repository has no commit, and `not_a_repository` if its `.git` cannot be read. */
export async function refuseWithoutCommit(topLevel: string): Promise<void> {
  const gitDir = path.join(topLevel, '.git');
  try {
    if (!(await stat(gitDir)).isDirectory() || !(await isLaidOut(gitDir))) return;
    const ref = /^ref: (refs\/heads\/.+)\n$/.exec(await readFile(path.join(gitDir, 'HEAD'), 'utf8'))?.[1];
    if (ref === undefined || (await hasRef(gitDir, ref))) return;
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENOTDIR')) return;
    if (!isErrno(error, 'EACCES', 'EPERM')) throw error;
    const message = `The repository in ${topLevel} cannot be read by this user. Allow this user to read ${gitDir}.`;
    throw new LonghaulError('not_a_repository', message, { cause: error });
  }
  const message = `The repository in ${topLevel} has no commit to start from. Make a first commit there and try again.`;
  throw new LonghaulError('empty_repository', message);
}

/** Returns whether the folder itself is a repository without a checkout (a bare repository). */
export async function isBare(folder: string): Promise<boolean> {
  try {
    return (await isLaidOut(folder)) && (await stat(path.join(folder, 'HEAD'))).isFile();
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENOTDIR', 'EACCES', 'EPERM')) return false;
    throw error;
  }
}

async function isLaidOut(gitDir: string): Promise<boolean> {
  const names = await readdir(gitDir);
  return names.includes('objects') && names.includes('refs') && !names.includes('reftable');
}

async function hasRef(gitDir: string, ref: string): Promise<boolean> {
  for (const [file, holds] of [
    [path.join(gitDir, ref), () => true],
    [path.join(gitDir, 'packed-refs'), (text: string) => text.includes(` ${ref}\n`)],
  ] as const) {
    try {
      if (holds(await readFile(file, 'utf8'))) return true;
    } catch (error) {
      if (!isErrno(error, 'ENOENT', 'ENOTDIR')) throw error;
    }
  }
  return false;
}
