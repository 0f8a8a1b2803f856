/**
 * Creates the `.git` folder of a worktree: a repository of the agent's own, which borrows the mirror's objects and
 * starts with the project's refs and settings. The agent's changes to this repository reach neither the project nor
 * another session. The steps do not read this repository, with two exceptions: branches that the agent created
 * (agent-branches.ts) and files that the agent added by force (forced-files.ts).
 */
import { chmodSync, constants, copyFileSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { isErrno } from '../contract/errors.ts';
import { copyOrRemove, writeWhole } from '../processes/whole-file.ts';
import { isFolder, plainFile } from './plain-file.ts';
import { adminDirOf, orAbsentSync } from './repository.ts';
import { alternatesOf, readState } from './mirror.ts';
import { sparseConfigText, worktreeConfigText } from './mirror-settings.ts';

export interface OwnRepositoryOptions {
  readonly mirror: string;
  readonly worktreePath: string;
  /** The worktree's entry in the mirror. */
  readonly adminDir: string;
  readonly base: string;
}

/** The file in the entry that lists the refs with which the worktree started. */
export const STARTING_REFS_FILE = 'longhaul-refs';
const SPARSE_FILE = 'info/sparse-checkout';

/**
 * Writes those files of the worktree's entry in the mirror that git does not write itself: the settings and patterns of
 * a sparse checkout, and the list of refs. Call it before the files are checked out. `topLevel`: the top folder of the
 * project.
 */
export function fillEntry(
  { mirror, adminDir }: OwnRepositoryOptions,
  { topLevel, commonDir }: Record<'topLevel' | 'commonDir', string>,
): void {
  const settings = readState(mirror)?.settings;
  if (settings === undefined) return;
  writeFileSync(path.join(adminDir, 'config.worktree'), sparseConfigText(settings));
  const patterns = path.join(adminDirOf(topLevel) ?? commonDir, SPARSE_FILE);
  mkdirSync(path.join(adminDir, 'info'), { recursive: true });
  copyOrRemove(patterns, path.join(adminDir, SPARSE_FILE));
  copyFileSync(path.join(mirror, 'packed-refs'), path.join(adminDir, STARTING_REFS_FILE), constants.COPYFILE_FICLONE);
}

/**
 * Creates the agent's repository in the worktree. If the worktree has a `.git` already, whether or not that `.git` is a
 * repository, this function removes it first. Call this function after the checkout, because it copies the index.
 */
export function makeOwnRepository({ mirror, worktreePath, adminDir, base }: OwnRepositoryOptions): void {
  const state = readState(mirror);
  const dotGit = path.join(worktreePath, '.git');
  const at = (name: string): string => path.join(dotGit, name);
  // The folder is removed as a whole, because a link in it may lead into the project.
  if (notIfRefused(() => remove(dotGit)) === undefined) {
    openFolders(dotGit);
    remove(dotGit);
  }
  for (const name of ['objects/info', 'objects/pack', 'refs/heads', 'info', 'hooks'])
    mkdirSync(at(name), { recursive: true });
  writeFileSync(alternatesOf(worktreePath), `${path.join(mirror, 'objects')}\n`);
  if (state !== undefined) writeWhole(at('config'), worktreeConfigText(state.settings));
  for (const name of ['info/attributes', 'info/exclude', 'shallow']) copyOrRemove(path.join(mirror, name), at(name));
  copyOrRemove(path.join(adminDir, SPARSE_FILE), at(SPARSE_FILE));
  for (const [name, target] of Object.entries(state?.symbolic ?? {})) {
    mkdirSync(path.dirname(at(name)), { recursive: true });
    writeFileSync(at(name), `ref: ${target}\n`);
  }
  copyFileSync(path.join(adminDir, STARTING_REFS_FILE), at('packed-refs'), constants.COPYFILE_FICLONE);
  orAbsentSync(() => copyFileSync(path.join(adminDir, 'index'), at('index'), constants.COPYFILE_FICLONE));
  // HEAD is written last: a folder without HEAD is no repository, so after a crash it is created again.
  writeWhole(at('HEAD'), `${base}\n`);
}

/**
 * Whether the worktree's `.git` folder is a repository. An agent may have removed the folder. An agent may also have
 * replaced the folder by a link to another repository, into which Longhaul must not write.
 */
export const hasOwnRepository = (worktreePath: string): boolean =>
  notIfRefused(
    () =>
      ['.git', '.git/objects', '.git/refs'].every((name) => isFolder(path.join(worktreePath, name))) &&
      plainFile(path.join(worktreePath, '.git/HEAD')) !== undefined,
  ) === true;

/** Returns the result of `access`. Returns undefined if the file system refuses the access. */
function notIfRefused<T>(access: () => T): T | undefined {
  try {
    return access();
  } catch (error) {
    if (isErrno(error, 'EACCES', 'EPERM')) return undefined;
    throw error;
  }
}

function remove(folder: string): true {
  rmSync(folder, { recursive: true, force: true });
  return true;
}

/** Gives the folder and every folder below it the permissions that their removal needs. */
function openFolders(folder: string): void {
  chmodSync(folder, 0o700);
  for (const item of readdirSync(folder, { withFileTypes: true }))
    if (item.isDirectory()) openFolders(path.join(folder, item.name));
}

/**
 * Writes the mirror's current path into the worktree's repository, which still has the former path after the home was
 * moved.
 */
export function writeMirrorPath(mirror: string, worktreePath: string): void {
  const file = alternatesOf(worktreePath);
  const isOwn = hasOwnRepository(worktreePath) && isFolder(path.dirname(file));
  if (isOwn && plainFile(file) !== undefined) writeWhole(file, `${path.join(mirror, 'objects')}\n`);
}
