/**
 * The `.git` folder of a worktree: a repository of the agent's own, which borrows the mirror's objects and begins with the
 * project's refs and settings. What an agent does to it reaches neither the project nor another session. The steps do not
 * read it, but for the branches that the agent made (agent-branches.ts) and files that it added by force.
 */
import { constants, copyFileSync, lstatSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { adminDirOf, ifThere } from './repository.ts';
import { alternatesOf, readState } from './mirror.ts';
import { sparseText, worktreeConfigText } from './mirror-settings.ts';
import { copyOrRemove, writeWhole } from './whole-file.ts';

export interface Borrow {
  readonly mirror: string;
  readonly worktreePath: string;
  /** The entry in the mirror. */
  readonly adminDir: string;
  readonly base: string;
}

/** The refs that the worktree began with, in its entry. */
export const GIVEN_REFS = 'longhaul-refs';
const SPARSE_FILE = 'info/sparse-checkout';

/** What the entry in the mirror has beside git's own files, before the files are checked out. `topLevel`: of the project. */
export function fillEntry(
  { mirror, adminDir }: Borrow,
  { topLevel, commonDir }: Record<'topLevel' | 'commonDir', string>,
): void {
  const settings = readState(mirror)?.settings;
  if (settings === undefined) return;
  writeFileSync(path.join(adminDir, 'config.worktree'), sparseText(settings));
  const patterns = path.join(adminDirOf(topLevel) ?? commonDir, SPARSE_FILE);
  mkdirSync(path.join(adminDir, 'info'), { recursive: true });
  copyOrRemove(patterns, path.join(adminDir, SPARSE_FILE));
  copyFileSync(path.join(mirror, 'packed-refs'), path.join(adminDir, GIVEN_REFS), constants.COPYFILE_FICLONE);
}

/** After the files are there: the index is the one of the checkout. What the folder has is left as it is. */
export function makeOwnRepository({ mirror, worktreePath, adminDir, base }: Borrow): void {
  const state = readState(mirror);
  const dotGit = path.join(worktreePath, '.git');
  const at = (name: string): string => path.join(dotGit, name);
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
  copyFileSync(path.join(adminDir, GIVEN_REFS), at('packed-refs'), constants.COPYFILE_FICLONE);
  ifThere(() => copyFileSync(path.join(adminDir, 'index'), at('index'), constants.COPYFILE_FICLONE));
  // Last: a folder without HEAD is no repository, and is made anew.
  writeWhole(at('HEAD'), `${base}\n`);
}

/** Whether the folder's `.git` is a repository at all: an agent may have removed it. */
export const hasOwnRepository = (worktreePath: string): boolean =>
  ifThere(() => lstatSync(path.join(worktreePath, '.git', 'HEAD'))) !== undefined;

/** Names the mirror by its new path, after the home was moved. */
export function borrowFrom(mirror: string, worktreePath: string): void {
  const file = alternatesOf(worktreePath);
  if (ifThere(() => readFileSync(file)) !== undefined) writeWhole(file, `${path.join(mirror, 'objects')}\n`);
}
