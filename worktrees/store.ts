/**
 * Stores the files of a worktree as a commit on its base, whole, also beside a `git gc --prune=now` of the user's.
 *
 * What no ref names yet is free for such a gc to take, and it may take it after our ref names it (pruning.ts). So objects
 * are written aside (quarantine.ts), and the commit is looked at once its ref is there and no such gc is left. The look is
 * the diff, which reads every object that the commit has and its base has not; it is needed anyway. What misses something,
 * for example an object that the agent had written and git took for stored, is stored again, from the files.
 *
 * What must never happen: a ref is left at a commit that misses something, for which every later gc of the user's would
 * fail. A step that is killed before it has looked runs again, and stores and looks again.
 */
import { lstatSync } from 'node:fs';
import path from 'node:path';
import { LonghaulError } from '../contract/errors.ts';
import { type GitOptions, type GitOutcome, git, gitError, gitText, tryGit } from './git.ts';
import { copyIndex, type Collection, NESTING_LIMIT, survey } from './collection.ts';
import { moveAside } from './nested.ts';
import { pause } from './pause.ts';
import { untilPruned } from './pruning.ts';
import { openQuarantine, publish, quarantineEnv } from './quarantine.ts';
import { ifThere } from './repository.ts';
import { deleteRef, type RefPlace, writeRef } from './refs.ts';
import { type ChangedFile, PATCH_LIMIT_BYTES, type TreeDiff, diffTrees, readableDiff } from './tree-diff.ts';

/** Of the commits that hold the results of tasks. */
export const AUTHOR = { name: 'Longhaul', email: 'longhaul@localhost' } as const;
const ATTEMPTS = 8;
const ADD_ATTEMPTS = 3;
const ADD_PAUSE_MS = 100;
const REF_ATTEMPTS = 10;

export interface StoredChange {
  readonly kind: 'changed';
  readonly commit: string;
  readonly files: ChangedFile[];
  readonly additions: number;
  readonly deletions: number;
  /** For reading: cut at 1 MB, binary files named only, what is not UTF-8 replaced. */
  readonly diff: string;
  /** For applying: complete, binary files included, bytes as they are. */
  readonly patch: Buffer;
}

export type Stored =
  | { readonly kind: 'none'; readonly commit?: undefined }
  | { readonly kind: 'kept'; readonly reason: string; readonly commit?: string }
  | StoredChange;

export interface Base {
  readonly tree: string;
  /** As git writes dates: seconds and zone. */
  readonly date: string;
}

/** `submodules`: paths where a pointer to a commit is right. Throws `git_failed` if something goes missing each time. */
export async function store(collection: Collection, base: Base, submodules: ReadonlySet<string>): Promise<Stored> {
  openQuarantine(collection.quarantine);
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await storeOnce(collection, base, submodules);
    } catch (error) {
      if (!isGitFailed(error) || attempt === ATTEMPTS) throw error;
    }
    // The index may call stored what is gone, file by file and in whole folders.
    await copyIndex(collection, { readAll: true });
  }
}

const isGitFailed = (error: unknown): boolean => error instanceof LonghaulError && error.code === 'git_failed';

async function storeOnce(collection: Collection, base: Base, submodules: ReadonlySet<string>): Promise<Stored> {
  for (let depth = 0; ; depth += 1) {
    const unstorable = await addAll(collection);
    if (unstorable !== undefined) return { kind: 'kept', reason: unstorable.message };
    const tree = await gitText(['write-tree'], aside(collection));
    if (tree === base.tree) {
      await dropRef(collection);
      return { kind: 'none' };
    }
    const commit = await commitTree(collection, tree, base);
    const diff = await keep(collection, commit);
    const pointers = diff?.newGitlinks.filter((one) => !submodules.has(one.toString('utf8'))) ?? [];
    if (pointers.length > 0 && depth < NESTING_LIMIT) {
      await dropRef(collection);
      await unlinkNested(collection, pointers);
      continue;
    }
    if (diff === undefined) {
      const megabytes = PATCH_LIMIT_BYTES / 1024 / 1024;
      const reason = `the change is larger than ${megabytes} MB: it is stored as ${collection.request.ref}`;
      return { kind: 'kept', reason, commit };
    }
    return changed(collection, commit, diff);
  }
}

/** A file that git cannot store is for a person to look at; a lock or a full disk, which is thrown, is for the next attempt. */
async function addAll(collection: Collection): Promise<LonghaulError | undefined> {
  for (let attempt = 1; ; attempt += 1) {
    let added = await tryGit(['add', '--all', '--sparse'], aside(collection));
    if (added.exitCode === 0 && collection.forced.length > 0) added = await addForced(collection);
    if (added.exitCode === 0) return undefined;
    const error = gitError(['add'], collection.request.worktreePath, added);
    if (!isGitFailed(error)) throw error;
    // It may be a gc that moved what git was reading.
    if (attempt === ADD_ATTEMPTS) return error;
    await pause(ADD_PAUSE_MS, collection.at.signal);
  }
}

/** What the agent has removed since is passed over. */
function addForced(collection: Collection): Promise<GitOutcome> {
  const { worktreePath } = collection.request;
  const there = collection.forced.filter((name) => {
    const file = Buffer.concat([Buffer.from(`${worktreePath}/`), name]);
    return ifThere(() => lstatSync(file))?.isDirectory() === false;
  });
  const input = Buffer.concat(there.flatMap((name) => [name, Buffer.of(0)]));
  const args = ['--literal-pathspecs', 'add', '--force', '--sparse', '--pathspec-from-file=-', '--pathspec-file-nul'];
  return tryGit(args, { ...aside(collection), input });
}

/** Under its ref, and whole there; else it throws, and there is no ref. undefined: it is too large for a patch. */
async function keep(collection: Collection, commit: string): Promise<TreeDiff | undefined> {
  const { base } = collection.request;
  try {
    // Stopped within it, the ref may be there although the call has failed.
    await name(collection, commit);
    await untilPruned(collection.commonDir, collection.at);
    publish(collection.quarantine);
    const diff = await diffTrees(base, commit, withoutIndex(collection));
    if (diff === undefined) await git(['rev-list', '--objects', '--quiet', commit, `^${base}`], collection.at);
    return diff;
  } catch (error) {
    await deleteRef(cleaningUp(collection));
    throw error;
  }
}

async function name(collection: Collection, commit: string): Promise<void> {
  for (let attempt = 1; ; attempt += 1) {
    publish(collection.quarantine);
    try {
      await writeRef(refOf(collection), commit);
      return;
    } catch (error) {
      // A gc took the commit before it had a ref.
      if (!isGitFailed(error) || attempt === REF_ATTEMPTS) throw error;
    }
  }
}

/** An earlier run stored a commit, and the change was undone since. */
export const dropRef = (collection: Collection): Promise<void> => deleteRef(refOf(collection));

/** For a run that does not come to storing: what is under the ref may be of an earlier one, killed before it had looked. */
export async function dropBrokenRef(collection: Collection): Promise<void> {
  const place = cleaningUp(collection);
  const whole = await tryGit(['rev-list', '--objects', '--quiet', place.ref, `^${collection.request.base}`], place.at);
  if (whole.exitCode === 128) await deleteRef(place);
}

/** New objects go into the quarantine. */
const aside = ({ at, quarantine }: Collection): GitOptions => ({
  ...at,
  env: { ...at.env, ...quarantineEnv(quarantine) },
});

const refOf = ({ locksDir, commonDir, request, at }: Collection): RefPlace => ({
  locksDir,
  commonDir,
  ref: request.ref,
  at,
});

/** To clean up after an abort, too: without the signal. */
const cleaningUp = (collection: Collection): RefPlace => ({
  ...refOf(collection),
  at: { cwd: collection.at.cwd, ...(collection.at.env && { env: collection.at.env }) },
});

/** Repositories that the agent staged or committed as pointers: taken out of the index, so that their files go in. */
async function unlinkNested(collection: Collection, pointers: readonly Buffer[]): Promise<void> {
  const input = Buffer.concat(pointers.flatMap((one) => [one, Buffer.of(0)]));
  await git(['update-index', '--force-remove', '-z', '--stdin'], { ...collection.at, input });
  for (const folder of pointers) await moveAside(collection.request.worktreePath, folder);
  await survey(collection);
}

async function commitTree(collection: Collection, tree: string, base: Base): Promise<string> {
  const { date } = collection.request;
  const when = date === undefined ? base.date : `@${Math.floor(date.getTime() / 1000)} +0000`;
  const options = aside(collection);
  const env = {
    ...options.env,
    GIT_AUTHOR_NAME: AUTHOR.name,
    GIT_AUTHOR_EMAIL: AUTHOR.email,
    GIT_AUTHOR_DATE: when,
    GIT_COMMITTER_NAME: AUTHOR.name,
    GIT_COMMITTER_EMAIL: AUTHOR.email,
    GIT_COMMITTER_DATE: when,
  };
  const input = `${collection.request.message.replaceAll('\0', '\uFFFD').trimEnd()}\n`;
  return gitText(['commit-tree', tree, '-p', collection.request.base, '-F', '-'], { ...options, env, input });
}

/** With an index that calls a file unchanged, git reads the file instead of the stored blob: not what the commit holds, if it changes now. */
function withoutIndex(collection: Collection): GitOptions {
  return {
    ...collection.at,
    env: { ...collection.at.env, GIT_INDEX_FILE: path.join(collection.adminDir, 'longhaul-no-index') },
  };
}

async function changed(collection: Collection, commit: string, diff: TreeDiff): Promise<StoredChange> {
  const { files, patch } = diff;
  return {
    kind: 'changed',
    commit,
    files,
    additions: files.reduce((sum, file) => sum + file.additions, 0),
    deletions: files.reduce((sum, file) => sum + file.deletions, 0),
    diff: await readableDiff(diff, withoutIndex(collection)),
    patch,
  };
}
