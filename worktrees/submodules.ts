/**
 * Fills the submodules of a worktree from the project's own copies on this disk. Nothing is fetched and no setting of
 * the project changes. A submodule that the project itself has not checked out stays empty.
 *
 * Each submodule is created with `git clone` from the project's own copy. `git submodule update` is not used, because
 * it clones from the URL, and its offline modes need `protocol.file.allow`, which would apply to paths that a commit
 * can choose.
 */
import { existsSync, statSync } from 'node:fs';
import { mkdir, readdir, stat } from 'node:fs/promises';
import path from 'node:path';
import { git, gitText, tryGit } from './git.ts';
import { type Repository, adminDirOf, orAbsentSync, orAbsent } from './repository.ts';

export interface Submodule {
  readonly name: string;
  /** The submodule's path, relative to the superproject's top folder. */
  readonly path: string;
}

interface Populate {
  readonly repository: Repository;
  readonly worktreePath: string;
  readonly signal?: AbortSignal;
}

/** Fills the submodules of the worktree. Returns a warning for each submodule that stays empty. */
export async function populateSubmodules({ repository, worktreePath, signal }: Populate): Promise<string[]> {
  const adminDir = adminDirOf(worktreePath);
  if (adminDir === undefined || !existsSync(path.join(worktreePath, '.gitmodules'))) return [];
  const source = { gitDir: repository.commonDir, checkout: repository.topLevel };
  return populate({ source, adminDir, worktreePath, ...(signal && { signal }) });
}

interface Level {
  /** The git folder and the files of the same superproject in the user's checkout. */
  readonly source: { readonly gitDir: string; readonly checkout: string };
  readonly adminDir: string;
  readonly worktreePath: string;
  readonly signal?: AbortSignal;
}

async function populate(level: Level): Promise<string[]> {
  const warnings: string[] = [];
  for (const submodule of await listSubmodules(level.worktreePath, level.signal)) {
    const why = await populateOne(level, submodule);
    if (typeof why === 'string') {
      warnings.push(`Submodule ${submodule.path} is empty in the agent's worktree: ${why}.`);
    } else warnings.push(...why);
  }
  return warnings;
}

/** Fills one submodule. Returns the reason if that fails, otherwise the warnings about the submodules within it. */
async function populateOne(level: Level, submodule: Submodule): Promise<string | string[]> {
  const options = { ...(level.signal && { signal: level.signal }) };
  const target = path.join(level.worktreePath, submodule.path);
  const commit = await pinnedCommit(level.worktreePath, submodule.path, level.signal);
  if (commit === undefined) return [];
  const source = await projectSubmoduleGitDir(level.source, submodule);
  if (source === undefined) return 'the project has not checked it out';
  const gitDir = path.join(level.adminDir, 'modules', submodule.name);
  await mkdir(path.dirname(gitDir), { recursive: true });
  const cloned = await tryGit(
    [
      'clone',
      '--quiet',
      '--shared',
      '--no-checkout',
      '--template=',
      '--separate-git-dir',
      gitDir,
      '--',
      source,
      target,
    ],
    { cwd: level.worktreePath, ...options },
  );
  if (cloned.exitCode !== 0) return lastWord(cloned.stderr);
  const url = await tryGit(['config', '--get', 'remote.origin.url'], {
    cwd: source,
    env: { GIT_DIR: source },
    ...options,
  });
  if (url.exitCode === 0) {
    await git(['config', 'remote.origin.url', url.stdout.toString('utf8').trimEnd()], { cwd: target, ...options });
  }
  const checkedOut = await tryGit(['checkout', '--quiet', '--force', '--detach', commit], { cwd: target, ...options });
  if (checkedOut.exitCode !== 0) return `the project's copy of it lacks commit ${commit.slice(0, 12)}`;
  if (!existsSync(path.join(target, '.gitmodules'))) return [];
  const checkout = path.join(level.source.checkout, submodule.path);
  return populate({ source: { gitDir: source, checkout }, adminDir: gitDir, worktreePath: target, ...options });
}

/**
 * Lists the submodules that the worktree's `.gitmodules` names, without those whose name or path leads out of the
 * worktree.
 */
export async function listSubmodules(worktreePath: string, signal?: AbortSignal): Promise<Submodule[]> {
  const file = path.join(worktreePath, '.gitmodules');
  if (orAbsentSync(() => statSync(file))?.isFile() !== true) return [];
  const listed = await tryGit(['config', '--file', file, '--null', '--get-regexp', '^submodule\\..*\\.path$'], {
    cwd: worktreePath,
    ...(signal && { signal }),
  });
  return listed.stdout
    .toString('utf8')
    .split('\0')
    .flatMap((line) => {
      const [key, value] = [line.slice(0, line.indexOf('\n')), line.slice(line.indexOf('\n') + 1)];
      const name = key.slice('submodule.'.length, -'.path'.length);
      return isInside(name) && isInside(value) ? [{ name, path: value.replace(/\/+$/, '') }] : [];
    });
}

function isInside(relative: string): boolean {
  if (relative === '' || path.isAbsolute(relative) || relative.startsWith('-')) return false;
  return !relative.split('/').some((part) => part === '..' || part.toLowerCase() === '.git');
}

/** Returns the commit that the superproject pins; undefined if `.gitmodules` lists a path that is no submodule. */
async function pinnedCommit(worktreePath: string, at: string, signal?: AbortSignal): Promise<string | undefined> {
  const staged = await gitText(['--literal-pathspecs', 'ls-files', '--stage', '-z', '--', at], {
    cwd: worktreePath,
    ...(signal && { signal }),
  });
  return /^160000 ([0-9a-f]+) 0\t/.exec(staged)?.[1];
}

/**
 * Returns the git folder of the project's own copy: the folder that the project's checkout names, otherwise the folder
 * in which git keeps a submodule that was checked out once.
 */
export async function projectSubmoduleGitDir(
  source: Level['source'],
  submodule: Submodule,
): Promise<string | undefined> {
  const inUse = adminDirOf(path.join(source.checkout, submodule.path));
  for (const place of [inUse, path.join(source.gitDir, 'modules', submodule.name)]) {
    if (place !== undefined && (await orAbsent(stat(path.join(place, 'HEAD')))) !== undefined) return place;
  }
  return undefined;
}

export interface SubmoduleState {
  readonly path: string;
  /** True if the submodule's commit differs from the commit in the superproject's index. */
  readonly moved: boolean;
  /** True if the submodule contains edits or new files. */
  readonly dirty: boolean;
}

interface Stranded {
  readonly worktreePath: string;
  readonly source: Level['source'];
  readonly submodules: readonly Submodule[];
  /** The submodules that differ in any way, from `git status`. */
  readonly states: readonly SubmoduleState[];
  readonly signal?: AbortSignal;
}

/**
 * Returns a sentence about the agent's work in submodules that a commit of the superproject cannot contain; undefined
 * if there is none.
 */
export async function unstorableSubmoduleWork(options: Stranded): Promise<string | undefined> {
  for (const submodule of options.submodules) {
    const at = path.join(options.worktreePath, submodule.path);
    const state = options.states.find((state) => state.path === submodule.path);
    const names = await orAbsent(readdir(at));
    const loose = names !== undefined && names.length > 0 && !names.includes('.git');
    if (state?.dirty === true || loose) {
      return `submodule ${submodule.path} contains edits, which a commit of the project cannot contain`;
    }
    if (state?.moved === true && !(await isElsewhere(at, submodule, options))) {
      return `submodule ${submodule.path} has a commit checked out that exists only in this worktree`;
    }
  }
  return undefined;
}

/**
 * Whether the submodule's commit also exists outside of the worktree: in the project's copy, or in a remote-tracking
 * ref.
 */
async function isElsewhere(at: string, submodule: Submodule, options: Stranded): Promise<boolean> {
  const signal = options.signal && { signal: options.signal };
  const commit = await tryGit(['rev-parse', '--verify', 'HEAD^{commit}'], { cwd: at, ...signal });
  if (commit.exitCode !== 0) return true;
  const id = commit.stdout.toString('utf8').trimEnd();
  const source = await projectSubmoduleGitDir(options.source, submodule);
  if (source !== undefined) {
    const there = await tryGit(['cat-file', '-e', id], { cwd: source, env: { GIT_DIR: source }, ...signal });
    if (there.exitCode === 0) return true;
  }
  const remote = await tryGit(['for-each-ref', '--count=1', '--contains', id, 'refs/remotes'], { cwd: at, ...signal });
  return remote.exitCode === 0 && remote.stdout.length > 0;
}

function lastWord(stderr: string): string {
  return (
    stderr
      .trimEnd()
      .split('\n')
      .at(-1)
      ?.replace(/^fatal: /, '') ?? 'git printed no reason'
  );
}
