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
import path from 'node:path';
import { LonghaulError } from '../contract/errors.ts';
import { type GitOptions, git, gitError, gitText, tryGit } from './git.ts';
import { copyIndex, type Job, NESTING_LIMIT, survey } from './job.ts';
import { moveAside } from './nested.ts';
import { pause } from './pause.ts';
import { untilPruned } from './pruning.ts';
import { openQuarantine, publish, quarantineEnv } from './quarantine.ts';
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
export async function store(job: Job, base: Base, submodules: ReadonlySet<string>): Promise<Stored> {
  openQuarantine(job.quarantine);
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await storeOnce(job, base, submodules);
    } catch (error) {
      if (!isGitFailed(error) || attempt === ATTEMPTS) throw error;
    }
    // The index may call stored what is gone, file by file and in whole folders.
    await copyIndex(job, { readAll: true });
  }
}

const isGitFailed = (error: unknown): boolean => error instanceof LonghaulError && error.code === 'git_failed';

async function storeOnce(job: Job, base: Base, submodules: ReadonlySet<string>): Promise<Stored> {
  for (let depth = 0; ; depth += 1) {
    const unstorable = await addAll(job);
    if (unstorable !== undefined) return { kind: 'kept', reason: unstorable.message };
    const tree = await gitText(['write-tree'], aside(job));
    if (tree === base.tree) {
      await dropRef(job);
      return { kind: 'none' };
    }
    const commit = await commitTree(job, tree, base);
    const diff = await keep(job, commit);
    const pointers = diff?.newGitlinks.filter((one) => !submodules.has(one.toString('utf8'))) ?? [];
    if (pointers.length > 0 && depth < NESTING_LIMIT) {
      await dropRef(job);
      await unlinkNested(job, pointers);
      continue;
    }
    if (diff === undefined) {
      const megabytes = PATCH_LIMIT_BYTES / 1024 / 1024;
      const reason = `the change is larger than ${megabytes} MB: it is stored as ${job.request.ref}`;
      return { kind: 'kept', reason, commit };
    }
    return changed(job, commit, diff);
  }
}

/** A file that git cannot store is for a person to look at; a lock or a full disk, which is thrown, is for the next attempt. */
async function addAll(job: Job): Promise<LonghaulError | undefined> {
  for (let attempt = 1; ; attempt += 1) {
    const added = await tryGit(['add', '--all', '--sparse'], aside(job));
    if (added.exitCode === 0) return undefined;
    const error = gitError(['add'], job.request.worktreePath, added);
    if (!isGitFailed(error)) throw error;
    // It may be a gc that moved what git was reading.
    if (attempt === ADD_ATTEMPTS) return error;
    await pause(ADD_PAUSE_MS, job.at.signal);
  }
}

/** Under its ref, and whole there; else it throws, and there is no ref. undefined: it is too large for a patch. */
async function keep(job: Job, commit: string): Promise<TreeDiff | undefined> {
  const { base } = job.request;
  await name(job, commit);
  try {
    await untilPruned(job.commonDir, job.at);
    publish(job.quarantine);
    const diff = await diffTrees(base, commit, withoutIndex(job));
    if (diff === undefined) await git(['rev-list', '--objects', '--quiet', commit, `^${base}`], job.at);
    return diff;
  } catch (error) {
    await deleteRef(cleaningUp(job));
    throw error;
  }
}

async function name(job: Job, commit: string): Promise<void> {
  for (let attempt = 1; ; attempt += 1) {
    publish(job.quarantine);
    try {
      await writeRef(refOf(job), commit);
      return;
    } catch (error) {
      // A gc took the commit before it had a ref.
      if (!isGitFailed(error) || attempt === REF_ATTEMPTS) throw error;
    }
  }
}

/** An earlier run stored a commit, and the change was undone since. */
export const dropRef = (job: Job): Promise<void> => deleteRef(refOf(job));

/** For a run that does not come to storing: what is under the ref may be of an earlier one, killed before it had looked. */
export async function dropBrokenRef(job: Job): Promise<void> {
  const place = cleaningUp(job);
  const whole = await tryGit(['rev-list', '--objects', '--quiet', place.ref, `^${job.request.base}`], place.at);
  if (whole.exitCode === 128) await deleteRef(place);
}

/** New objects go into the quarantine. */
const aside = ({ at, quarantine }: Job): GitOptions => ({ ...at, env: { ...at.env, ...quarantineEnv(quarantine) } });

const refOf = ({ locksDir, commonDir, request, at }: Job): RefPlace => ({ locksDir, commonDir, ref: request.ref, at });

/** To clean up after an abort, too: without the signal. */
const cleaningUp = (job: Job): RefPlace => ({
  ...refOf(job),
  at: { cwd: job.at.cwd, ...(job.at.env && { env: job.at.env }) },
});

/** Repositories that the agent staged or committed as pointers: taken out of the index, so that their files go in. */
async function unlinkNested(job: Job, pointers: readonly Buffer[]): Promise<void> {
  const input = Buffer.concat(pointers.flatMap((one) => [one, Buffer.of(0)]));
  await git(['update-index', '--force-remove', '-z', '--stdin'], { ...job.at, input });
  for (const folder of pointers) await moveAside(job.request.worktreePath, folder);
  await survey(job);
}

async function commitTree(job: Job, tree: string, base: Base): Promise<string> {
  const { date } = job.request;
  const when = date === undefined ? base.date : `@${Math.floor(date.getTime() / 1000)} +0000`;
  const options = aside(job);
  const env = {
    ...options.env,
    GIT_AUTHOR_NAME: AUTHOR.name,
    GIT_AUTHOR_EMAIL: AUTHOR.email,
    GIT_AUTHOR_DATE: when,
    GIT_COMMITTER_NAME: AUTHOR.name,
    GIT_COMMITTER_EMAIL: AUTHOR.email,
    GIT_COMMITTER_DATE: when,
  };
  const input = `${job.request.message.replaceAll('\0', '\uFFFD').trimEnd()}\n`;
  return gitText(['commit-tree', tree, '-p', job.request.base, '-F', '-'], { ...options, env, input });
}

/** With an index that calls a file unchanged, git reads the file instead of the stored blob: not what the commit holds, if it changes now. */
function withoutIndex(job: Job): GitOptions {
  return { ...job.at, env: { ...job.at.env, GIT_INDEX_FILE: path.join(job.adminDir, 'longhaul-no-index') } };
}

async function changed(job: Job, commit: string, diff: TreeDiff): Promise<StoredChange> {
  const { files, patch } = diff;
  return {
    kind: 'changed',
    commit,
    files,
    additions: files.reduce((sum, file) => sum + file.additions, 0),
    deletions: files.reduce((sum, file) => sum + file.deletions, 0),
    diff: await readableDiff(diff, withoutIndex(job)),
    patch,
  };
}
