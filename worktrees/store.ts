/**
 * Stores all files of a worktree as one commit on its base, and checks the commit when its ref exists. The check is the
 * diff of the change, because the diff reads every object that the commit has and its base lacks. If an object is
 * missing, for example one that the index lists as stored, the files are stored again.
 *
 * What must never happen: a ref remains that names a commit with missing objects, because every later gc of the
 * repository would fail. If a step is killed before the check, Temporal retries the step, which stores the files and
 * checks the commit again.
 */
import { lstatSync } from 'node:fs';
import path from 'node:path';
import { LonghaulError } from '../contract/errors.ts';
import { type GitOptions, type GitOutcome, git, gitError, gitText, tryGit } from './git.ts';
import { copyIndex, type Collection, NESTING_LIMIT, statusWithNestedAside } from './collection.ts';
import { moveNestedGitAside } from './nested.ts';
import { pause } from './pause.ts';
import { orAbsentSync } from './repository.ts';
import { deleteRef, type RefLocation, writeRef } from './refs.ts';
import { type ChangedFile, PATCH_LIMIT_BYTES, type TreeDiff, diffTrees, readableDiff } from './tree-diff.ts';

/** The author of the commits that are results of tasks. */
export const AUTHOR = { name: 'Longhaul', email: 'longhaul@localhost' } as const;
const ATTEMPTS = 3;
const ADD_ATTEMPTS = 3;
const ADD_PAUSE_MS = 100;

export interface StoredChange {
  readonly kind: 'changed';
  readonly commit: string;
  readonly files: ChangedFile[];
  readonly additions: number;
  readonly deletions: number;
  /** The diff for people: cut at 1 MB, with binary files only named, and with invalid UTF-8 replaced by U+FFFD. */
  readonly diff: string;
  /** The patch for `git apply`: complete, including binary files, with bytes unchanged. */
  readonly patch: Buffer;
}

export type StoreOutcome =
  | { readonly kind: 'none'; readonly commit?: undefined }
  | { readonly kind: 'kept'; readonly reason: string; readonly commit?: string }
  | StoredChange;

export interface BaseCommit {
  readonly tree: string;
  /** A date in git's form: seconds and zone. */
  readonly date: string;
}

/**
 * Stores the files as a commit. `submodules`: paths that may be pointers to commits. Throws `git_failed` if objects are
 * missing after every attempt.
 */
export async function storeCommit(
  collection: Collection,
  base: BaseCommit,
  submodules: ReadonlySet<string>,
): Promise<StoreOutcome> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await storeOnce(collection, base, submodules);
    } catch (error) {
      if (!isGitFailed(error) || attempt === ATTEMPTS) throw error;
    }
    // The index may list an object as stored, of a file or of a whole folder, although the object no longer exists.
    await copyIndex(collection, { readAll: true });
  }
}

const isGitFailed = (error: unknown): boolean => error instanceof LonghaulError && error.code === 'git_failed';

async function storeOnce(
  collection: Collection,
  base: BaseCommit,
  submodules: ReadonlySet<string>,
): Promise<StoreOutcome> {
  for (let depth = 0; ; depth += 1) {
    const unstorable = await addAll(collection);
    if (unstorable !== undefined) return { kind: 'kept', reason: unstorable.message };
    const tree = await gitText(['write-tree'], collection.at);
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

/**
 * Adds all files to the index. Returns an error if git cannot store a file, because a person must remove the cause.
 * Throws an error for a lock or a full disk, so that Temporal retries the step.
 */
async function addAll(collection: Collection): Promise<LonghaulError | undefined> {
  for (let attempt = 1; ; attempt += 1) {
    let added = await tryGit(['add', '--all', '--sparse'], collection.at);
    if (added.exitCode === 0 && collection.forced.length > 0) added = await addForced(collection);
    if (added.exitCode === 0) return undefined;
    const error = gitError(['add'], collection.request.worktreePath, added);
    if (!isGitFailed(error)) throw error;
    // Another git process may have moved objects while this git process read them, so the command is retried.
    if (attempt === ADD_ATTEMPTS) return error;
    await pause(ADD_PAUSE_MS, collection.at.signal);
  }
}

/** Adds the ignored files that the agent added by force. Files that the agent has removed since then are skipped. */
function addForced(collection: Collection): Promise<GitOutcome> {
  const { worktreePath } = collection.request;
  const there = collection.forced.filter((name) => {
    const file = Buffer.concat([Buffer.from(`${worktreePath}/`), name]);
    return orAbsentSync(() => lstatSync(file))?.isDirectory() === false;
  });
  const input = Buffer.concat(there.flatMap((name) => [name, Buffer.of(0)]));
  const args = ['--literal-pathspecs', 'add', '--force', '--sparse', '--pathspec-from-file=-', '--pathspec-file-nul'];
  return tryGit(args, { ...collection.at, input });
}

/**
 * Writes the ref, checks that the commit is complete, and returns its diff. If an object is missing, it removes the ref
 * and throws. Returns undefined if the patch is too large.
 */
async function keep(collection: Collection, commit: string): Promise<TreeDiff | undefined> {
  const { base } = collection.request;
  try {
    // This call is inside the `try`, because an aborted call may fail although it has written the ref. The ref must
    // then be removed.
    await writeRef(refOf(collection), commit);
    const diff = await diffTrees(base, commit, withoutIndex(collection));
    if (diff === undefined) await git(['rev-list', '--objects', '--quiet', commit, `^${base}`], collection.at);
    return diff;
  } catch (error) {
    await deleteRef(cleaningUp(collection));
    throw error;
  }
}

/** Removes the ref of an earlier collection, because the edits that it stored were undone afterwards. */
export const dropRef = (collection: Collection): Promise<void> => deleteRef(refOf(collection));

/**
 * Removes the ref if its commit is incomplete. Call it when the present collection cannot store the files, because an
 * earlier one may have written the ref and may have been killed before it checked the commit.
 */
export async function dropBrokenRef(collection: Collection): Promise<void> {
  const place = cleaningUp(collection);
  const whole = await tryGit(['rev-list', '--objects', '--quiet', place.ref, `^${collection.request.base}`], place.at);
  if (whole.exitCode === 128) await deleteRef(place);
}

const refOf = ({ locksDir, commonDir, request, at }: Collection): RefLocation => ({
  locksDir,
  commonDir,
  ref: request.ref,
  at,
});

/**
 * Returns the location of the ref for a call that ignores the abort signal, because the ref must also be removed after
 * an abort.
 */
const cleaningUp = (collection: Collection): RefLocation => ({
  ...refOf(collection),
  at: { cwd: collection.at.cwd, ...(collection.at.env && { env: collection.at.env }) },
});

/**
 * Removes from the index the repositories that the agent staged or committed as pointers, so that git adds their files
 * instead.
 */
async function unlinkNested(collection: Collection, pointers: readonly Buffer[]): Promise<void> {
  const input = Buffer.concat(pointers.flatMap((one) => [one, Buffer.of(0)]));
  await git(['update-index', '--force-remove', '-z', '--stdin'], { ...collection.at, input });
  for (const folder of pointers) await moveNestedGitAside(collection.request.worktreePath, folder);
  await statusWithNestedAside(collection);
}

async function commitTree(collection: Collection, tree: string, base: BaseCommit): Promise<string> {
  const { date } = collection.request;
  const when = date === undefined ? base.date : `@${Math.floor(date.getTime() / 1000)} +0000`;
  const options = collection.at;
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

/**
 * Returns git options with an index that does not exist. If the index says that a file is unchanged, git reads the file
 * instead of the stored blob, and the diff would differ from the commit if the file changes meanwhile.
 */
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
