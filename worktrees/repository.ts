/**
 * A project's repository as the steps need it: where it is, what its checkout stands on, and its list of
 * worktrees, read from the files that git keeps for them (gitrepository-layout, `worktrees/`).
 */
import { readFile, readdir, realpath, rmdir, stat } from 'node:fs/promises';
import path from 'node:path';
import { LonghaulError } from '../workflows/errors.ts';
import { gitError, isErrno, tryGit } from './git.ts';

export interface Repository {
  /** Real path of the checkout's top folder. */
  readonly topLevel: string;
  /** Real path of what all worktrees of the repository share: usually `<topLevel>/.git`. */
  readonly commonDir: string;
  /** The commit checked out, 40 hex digits (64 in a SHA-256 repository). */
  readonly head: string;
}

/** One of git's entries under `<commonDir>/worktrees`. */
export interface WorktreeEntry {
  readonly adminDir: string;
  /** The worktree's folder as git recorded it; undefined: `git worktree add` was killed before it said. */
  readonly worktreePath: string | undefined;
  /** Why it is locked; undefined: it is not. */
  readonly lockReason: string | undefined;
}

/** How our worktrees are told from the user's own: git keeps this with each and shows it in `git worktree list -v`. */
export const LOCK_REASON = 'Longhaul: an agent works here';

/**
 * Finds the repository that holds `projectPath`: its top folder, a folder within it, a linked worktree,
 * or a symbolic link to one of these. Throws `project_has_no_path`, `project_missing`,
 * `not_a_repository`, `empty_repository`.
 */
export async function inspect(projectPath: string | undefined, signal?: AbortSignal): Promise<Repository> {
  const folder = await projectFolder(projectPath);
  const args = ['rev-parse', '--path-format=absolute', '--is-bare-repository', '--is-inside-git-dir'];
  const outcome = await tryGit([...args, '--git-common-dir', '--show-toplevel', '--verify', 'HEAD^{commit}'], {
    cwd: folder,
    ...(signal && { signal }),
  });
  const [bare, inside, commonDir, topLevel, head, ...rest] = outcome.stdout.toString('utf8').trimEnd().split('\n');
  if (bare === 'true' || inside === 'true') {
    const what = bare === 'true' ? 'is a bare repository' : "is inside a repository's own folder";
    throw new LonghaulError('not_a_repository', `${folder} ${what}. Give the path of a checkout of it.`);
  }
  if (commonDir === undefined || topLevel === undefined) {
    if (outcome.exitCode !== 128 || !/not a git repository/i.test(outcome.stderr)) {
      throw gitError(args, folder, outcome);
    }
    throw new LonghaulError(
      'not_a_repository',
      `${folder} is not in a git repository. Run \`git init\` and make a first commit there, or give another path.`,
    );
  }
  if (rest.length > 0) {
    throw new LonghaulError(
      'not_a_repository',
      `The path ${JSON.stringify(folder)} holds a line break. Rename the folder.`,
    );
  }
  if (head === undefined || outcome.exitCode !== 0) {
    throw new LonghaulError(
      'empty_repository',
      `The repository in ${topLevel} has no commit to start from. Make a first commit there and try again.`,
    );
  }
  return { topLevel: await realpath(topLevel), commonDir: await realpath(commonDir), head };
}

async function projectFolder(projectPath: string | undefined): Promise<string> {
  if (projectPath === undefined || projectPath.trim() === '') {
    throw new LonghaulError('project_has_no_path', 'Project has no path — cannot create worktree');
  }
  if (!path.isAbsolute(projectPath)) {
    throw new LonghaulError(
      'project_missing',
      `The project's path must be absolute, found ${projectPath}. Correct it in the project.`,
    );
  }
  try {
    const folder = await realpath(projectPath);
    if ((await stat(folder)).isDirectory()) return folder;
    throw new LonghaulError(
      'project_missing',
      `The project's path ${projectPath} is a file, not a folder. Correct it in the project.`,
    );
  } catch (error) {
    if (!isErrno(error, 'ENOENT', 'ENOTDIR', 'ELOOP', 'EACCES')) throw error;
    const why = isErrno(error, 'EACCES') ? 'cannot be read by this user' : 'does not exist on this host';
    throw new LonghaulError('project_missing', `The project's path ${projectPath} ${why}. Correct it in the project.`, {
      cause: error,
    });
  }
}

/** All of git's worktree entries of a repository, also those that a killed git left half made. */
export async function listEntries(commonDir: string): Promise<WorktreeEntry[]> {
  const root = path.join(commonDir, 'worktrees');
  const names = await orAbsent(readdir(root));
  return Promise.all((names ?? []).map((name) => readEntry(path.join(root, name))));
}

async function readEntry(adminDir: string): Promise<WorktreeEntry> {
  const [gitdir, reason] = await Promise.all([
    orAbsent(readFile(path.join(adminDir, 'gitdir'), 'utf8')),
    orAbsent(readFile(path.join(adminDir, 'locked'), 'utf8')),
  ]);
  // Git ends the line; a relative path (git 2.48 can be set to write them) starts from the entry.
  const file = gitdir?.replace(/\n$/, '');
  const worktreePath = file ? path.dirname(path.resolve(adminDir, file)) : undefined;
  return { adminDir, worktreePath, lockReason: reason?.replace(/\n$/, '') };
}

export const isOurs = (entry: WorktreeEntry): boolean => entry.lockReason?.startsWith('Longhaul') === true;

export async function findEntry(commonDir: string, worktreePath: string): Promise<WorktreeEntry | undefined> {
  return (await listEntries(commonDir)).find((entry) => entry.worktreePath === worktreePath);
}

/** Git makes the folder of worktree entries with the first and removes it with the last; so do we. */
export async function removeEntriesFolderIfEmpty(commonDir: string): Promise<void> {
  await removeIfEmpty(path.join(commonDir, 'worktrees'));
}

/** False if it holds something. */
export async function removeIfEmpty(folder: string): Promise<boolean> {
  try {
    await rmdir(folder);
    return true;
  } catch (error) {
    if (isErrno(error, 'ENOTEMPTY', 'EEXIST')) return false;
    if (isErrno(error, 'ENOENT')) return true;
    throw error;
  }
}

/** undefined for what does not exist; any other failure is thrown. */
export async function orAbsent<T>(reading: Promise<T>): Promise<T | undefined> {
  try {
    return await reading;
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENOTDIR')) return undefined;
    throw error;
  }
}
