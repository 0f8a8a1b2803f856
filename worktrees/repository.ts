/**
 * Reads a project's repository: its folders, the commit that is checked out, and its list of worktrees. It reads the
 * files that git keeps for them (gitrepository-layout, `worktrees/`).
 *
 * Each step reads about a dozen small files, synchronously, in about 20 µs each. The thread pool takes 200 to 800 µs on
 * two busy cores, which would be a sixth of the time until an agent starts.
 */
import { lstatSync, readdirSync, realpathSync, statSync } from 'node:fs';
import { rmdir } from 'node:fs/promises';
import path from 'node:path';
import { isErrno, LonghaulError } from '../contract/errors.ts';
import { type GitOutcome, gitError, lastLine, tryGit } from './git.ts';
import { plainFile } from './plain-file.ts';

export interface Repository {
  /** Real path of the checkout's top folder. */
  readonly topLevel: string;
  /** Real path of the git common directory, which all worktrees of the repository share: usually `<topLevel>/.git`. */
  readonly commonDir: string;
  /** The commit that is checked out: 40 hex digits (64 in a SHA-256 repository). */
  readonly head: string;
}

/** One of git's entries under `<commonDir>/worktrees`. */
export interface WorktreeEntry {
  readonly adminDir: string;
  /** The worktree's folder as git recorded it; undefined if `git worktree add` was killed before it wrote the path. */
  readonly worktreePath: string | undefined;
  /** The reason of git's worktree lock; undefined if the worktree is not locked. */
  readonly lockReason: string | undefined;
}

/**
 * Git stores this text with each worktree of Longhaul and shows it in `git worktree list -v`. The text distinguishes
 * Longhaul's worktrees from those of the user.
 */
export const LOCK_REASON = 'Longhaul: an agent works here';

export interface InspectOptions {
  /** The commit to return as `head` instead of that of HEAD: an id or the name of a ref. */
  readonly rev?: string;
  readonly signal?: AbortSignal;
}

/**
 * Finds the repository that holds `projectPath`, which is the top folder, a folder within it, a linked worktree, or a
 * symbolic link to one of these. In the result `head` is the commit of `options.rev`, or of HEAD if `rev` is absent.
 * Throws `project_has_no_path`, `project_missing`, `not_a_repository` or `empty_repository`. Starts one git process, or
 * none for a usual repository.
 */
export async function inspect(projectPath: string | undefined, options: InspectOptions = {}): Promise<Repository> {
  const cwd = projectFolder(projectPath);
  const plain = options.rev === undefined ? inspectPlain(cwd) : undefined;
  if (plain !== undefined) return plain;
  const rev = options.rev ?? 'HEAD';
  if (!/^\w[\w./-]*$/.test(rev)) throw new LonghaulError('invalid_input', `Expected a commit's id, found ${rev}.`);
  const args = ['rev-parse', '--path-format=absolute', '--is-bare-repository', '--is-inside-git-dir'];
  args.push('--git-common-dir', '--show-toplevel', '--verify', `${rev}^{commit}`);
  const outcome = await tryGit(args, { cwd, ...(options.signal && { signal: options.signal }) });
  const [bare, inside, commonDir, topLevel, head, ...rest] = outcome.stdout.toString('utf8').trimEnd().split('\n');
  if (bare === 'true' || inside === 'true') {
    const what = bare === 'true' ? 'is a bare repository' : "is inside a repository's own folder";
    throw new LonghaulError('not_a_repository', `${cwd} ${what}. Give the path of a checkout of it.`);
  }
  if (commonDir === undefined || topLevel === undefined) throw notARepository(cwd, args, outcome);
  if (rest.length > 0) {
    throw new LonghaulError(
      'not_a_repository',
      `The path ${JSON.stringify(cwd)} contains a line break. Rename the folder.`,
    );
  }
  if (head === undefined || outcome.exitCode !== 0) {
    if (options.rev !== undefined)
      throw new LonghaulError('git_failed', `The repository in ${topLevel} has no commit ${rev}.`);
    throw new LonghaulError(
      'empty_repository',
      `The repository in ${topLevel} has no commit to start from. Make a first commit there and try again.`,
    );
  }
  return { topLevel: realpathSync(topLevel), commonDir: realpathSync(commonDir), head };
}

const COMMIT = /^(?:[0-9a-f]{40}|[0-9a-f]{64})\n$/;
/**
 * Matches settings that place the checkout elsewhere, change how refs are stored, or include files that may contain
 * such settings.
 */
const UNUSUAL = /^\s*(worktree|bare\s*($|=(?!\s*false\s*$))|\[\s*(extensions|include))/im;

/**
 * Reads a usual repository without starting git, which would cost 5 ms of the 60 ms before an agent starts. Usual
 * means: a plain `.git` folder, a branch or a detached HEAD, and the ref in a file of its own (gitrepository-layout).
 * For every other repository it returns undefined, and the caller asks git.
 */
function inspectPlain(folder: string): Repository | undefined {
  const commonDir = path.join(folder, '.git');
  if (orAbsentSync(() => lstatSync(commonDir))?.isDirectory() !== true) return undefined;
  const read = (name: string): string | undefined => textOf(path.join(commonDir, name));
  const [config, head] = [read('config'), read('HEAD')];
  if (config === undefined || head === undefined || UNUSUAL.test(config)) return undefined;
  const ref = /^ref: (refs\/heads\/\w[\w/-]*)\n$/.exec(head)?.[1];
  const commit = ref === undefined ? head : read(ref);
  if (commit === undefined || !COMMIT.test(commit)) return undefined;
  return { topLevel: folder, commonDir, head: commit.trimEnd() };
}

function notARepository(cwd: string, args: readonly string[], outcome: GitOutcome): LonghaulError {
  const unknown = /unknown repository extensions? found:\s*(\S+)/i.exec(outcome.stderr)?.[1];
  if (unknown !== undefined || /Expected git repo version/i.test(outcome.stderr)) {
    const what = unknown === undefined ? lastLine(outcome.stderr) : `it uses the extension ${unknown}`;
    return new LonghaulError(
      'not_a_repository',
      `The git on this machine cannot read the repository in ${cwd}: ${what}. Install a newer git for the worker (reftable needs 2.45), or convert the repository (\`git refs migrate --ref-format=files\`).`,
    );
  }
  if (!/not a git repository/i.test(outcome.stderr)) return gitError(args, cwd, outcome);
  if (orAbsentSync(() => lstatSync(path.join(cwd, '.git'))) !== undefined) {
    return new LonghaulError(
      'not_a_repository',
      `${cwd} has a .git that is no complete repository: git expects HEAD, refs and objects in it. Restore it from a copy, or run \`git init\` there, which adds what is missing.`,
    );
  }
  return new LonghaulError(
    'not_a_repository',
    `${cwd} is not in a git repository. Run \`git init\` and make a first commit there, or give another path.`,
  );
}

/**
 * Returns the git common directory of the repository that contains `folder`, found as git finds it but without starting
 * git; undefined if there is none.
 */
export function commonDirOf(folder: string): string | undefined {
  const start = orAbsentSync(() => realpathSync(folder));
  for (let at = start; at !== undefined; at = path.dirname(at) === at ? undefined : path.dirname(at)) {
    const adminDir = adminDirOf(at);
    if (adminDir !== undefined && isGitFolder(adminDir)) return sharedBy(adminDir);
  }
  return undefined;
}

/**
 * Returns the git common directory to which a worktree's own `.git` leads; undefined if there is no `.git` or its
 * target does not exist.
 */
export function ownCommonDirOf(worktreePath: string): string | undefined {
  const adminDir = adminDirOf(worktreePath);
  return adminDir && sharedBy(adminDir);
}

/**
 * Whether git accepts the folder as a `.git` folder. Git ignores a folder without HEAD and searches the parent folders.
 */
const isGitFolder = (adminDir: string): boolean =>
  orAbsentSync(() => lstatSync(path.join(adminDir, 'HEAD'))) !== undefined;

function sharedBy(adminDir: string): string | undefined {
  const shared = textOf(path.join(adminDir, 'commondir'));
  return orAbsentSync(() => realpathSync(path.resolve(adminDir, shared?.trimEnd() ?? '.')));
}

/**
 * Returns the folder to which the `.git` in a worktree's top folder leads, whether or not that folder exists; undefined
 * if there is no `.git`.
 */
export function adminDirOf(worktreePath: string): string | undefined {
  const dotGit = path.join(worktreePath, '.git');
  const status = orAbsentSync(() => lstatSync(dotGit));
  if (status === undefined || status.isDirectory()) return status && dotGit;
  const target = /^gitdir: (.+?)\n*$/s.exec(textOf(dotGit) ?? '')?.[1];
  return target === undefined ? undefined : path.resolve(worktreePath, target);
}

function projectFolder(projectPath: string | undefined): string {
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
    const folder = realpathSync(projectPath);
    if (statSync(folder).isDirectory()) return folder;
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

/** Lists all of git's worktree entries of a repository, including incomplete ones that a killed git left. */
export function listEntries(commonDir: string): WorktreeEntry[] {
  const root = path.join(commonDir, 'worktrees');
  const names = orAbsentSync(() => readdirSync(root));
  return (names ?? []).map((name) => readEntry(path.join(root, name)));
}

function readEntry(adminDir: string): WorktreeEntry {
  const gitdir = textOf(path.join(adminDir, 'gitdir'));
  const reason = textOf(path.join(adminDir, 'locked'));
  // Git ends the line with a newline. A relative path, which git 2.48 can be set to write, is relative to the entry.
  const file = gitdir?.replace(/\n$/, '');
  const worktreePath = file ? path.dirname(path.resolve(adminDir, file)) : undefined;
  return { adminDir, worktreePath, lockReason: reason?.replace(/\n$/, '') };
}

/** Whether Longhaul created the entry: its lock reason begins with `Longhaul`. */
export const isOurs = (entry: WorktreeEntry): boolean => entry.lockReason?.startsWith('Longhaul') === true;

/**
 * Finds the worktree's entry. Git names an entry after the folder, with a number if the name is taken, so the entry of
 * that name is read first.
 */
export function findEntry(commonDir: string, worktreePath: string): WorktreeEntry | undefined {
  const likely = readEntry(path.join(commonDir, 'worktrees', path.basename(worktreePath)));
  if (likely.worktreePath === worktreePath) return likely;
  return listEntries(commonDir).find((entry) => entry.worktreePath === worktreePath);
}

/** Returns the path with the links in its parents resolved, as git recorded it. The parents may no longer exist. */
export function canonical(worktreePath: string): string {
  const resolved = path.resolve(worktreePath);
  const parent = orAbsentSync(() => realpathSync(path.dirname(resolved)));
  return parent === undefined ? resolved : path.join(parent, path.basename(resolved));
}

/** Removes the folder if it is empty or missing. Returns false if it is not empty. */
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

/** Resolves to the result of `reading`, or to undefined if the file does not exist. Any other error is thrown. */
export async function orAbsent<T>(reading: Promise<T>): Promise<T | undefined> {
  try {
    return await reading;
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENOTDIR')) return undefined;
    throw error;
  }
}

/** The synchronous form of `orAbsent`: returns undefined if the file does not exist. */
export function orAbsentSync<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENOTDIR')) return undefined;
    throw error;
  }
}

const textOf = (file: string): string | undefined => plainFile(file)?.toString('utf8');
