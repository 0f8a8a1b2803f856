/**
 * Stores the files that an agent left in its worktree as one commit on the base, under a ref below refs/longhaul.
 *
 * The files on disk count, whatever the agent did with git: staged, committed, switched or created branches. Branches
 * that the agent created are fetched to the mirror (agent-branches.ts) and named in `notes`. Tags and stashes are not
 * examined.
 *
 * What must never happen: the user's index, branches, stash or checkout change; a file is left out silently; hooks run;
 * a second collection of the same files stores another commit.
 *
 * Not stored: ignored files (they are listed by name), and files that the agent excluded from git's checks
 * (`update-index --assume-unchanged`). Git processes: 2 if nothing changed, otherwise 7 (status and cat-file, add,
 * write-tree, commit-tree, update-ref, diff-tree), or 8 with binary files.
 */
import { lstatSync } from 'node:fs';
import { lstat, readFile, rename, rm } from 'node:fs/promises';
import path from 'node:path';
import { LonghaulError } from '../contract/errors.ts';
import { nestedGitFolderOf } from './clear.ts';
import { gitText } from './git.ts';
import { type CollectRequest, copyIndex, type Collection, statusWithNestedAside } from './collection.ts';
import { forcedFiles } from './forced-files.ts';
import { filePath } from './file-path.ts';
import { notesOnFormerBranch } from './former.ts';
import { keepBranches } from './agent-branches.ts';
import { ensureMirror, isMirror, ownerOfWorktree } from './mirror.ts';
import { restoreNestedGit } from './nested.ts';
import { whyReplaced } from './identity.ts';
import { earlierIgnored, noteOnIgnored, writeIgnored } from './ignored-files.ts';
import { type WorktreeRecord, readRecord, writeRecord } from './records.ts';
import { canonical, commonDirOf, findEntry, inspect, orAbsent, orAbsentSync } from './repository.ts';
import { withLock } from './repository-lock.ts';
import { noteOnSpecial, specialFiles } from './special-files.ts';
import { type BaseCommit, dropBrokenRef, dropRef, storeCommit, type StoredChange } from './store.ts';
import { ensureEntry } from './restore-entry.ts';
import { listSubmodules, unstorableSubmoduleWork } from './submodules.ts';

export interface CollectedChange extends StoredChange {
  /** Names of ignored files and folders that the agent left, at most 200. */
  readonly ignored: string[];
  /** Sentences about the agent's use of git, and about files that are not in the change. */
  readonly notes: string[];
}

export type CollectOutcome =
  | { readonly kind: 'none'; readonly ignored: string[]; readonly notes: string[] }
  | CollectedChange
  /**
   * The worktree must stay, because it contains files that could not be stored. `commit` has the files that were
   * stored.
   */
  | {
      readonly kind: 'kept';
      readonly reason: string;
      readonly commit?: string;
      /**
       * True if the folder at the worktree's path is not the folder that Longhaul created there. In that case no file
       * in it was read.
       */
      readonly replaced?: true;
    };

const IGNORED_LIMIT = 200;

export async function collectChange(locksDir: string, request: CollectRequest): Promise<CollectOutcome> {
  const subject = canonical(request.worktreePath);
  const signal = request.signal && { signal: request.signal };
  return withLock({ locksDir, subject, ...signal }, () => collectLocked(locksDir, request));
}

/** Does what `collectChange` does, for a caller that already holds the worktree's lock. */
export async function collectLocked(locksDir: string, request: CollectRequest): Promise<CollectOutcome> {
  const subject = canonical(request.worktreePath);
  try {
    return await collectOnce(locksDir, request, subject);
  } catch (error) {
    const isGitFailed = error instanceof LonghaulError && error.code === 'git_failed';
    if (!isGitFailed || !(await repairMirror(locksDir, readRecord(locksDir, subject), request.signal))) throw error;
    return collectOnce(locksDir, request, subject);
  }
}

/** Links the project's objects again into the mirror, which may be damaged. Returns false if they cannot be linked. */
async function repairMirror(
  locksDir: string,
  record: WorktreeRecord | undefined,
  given: AbortSignal | undefined,
): Promise<boolean> {
  if (record?.state !== 'ready' || !isMirror(locksDir, record.commonDir)) return false;
  const signal = given && { signal: given };
  const repository = await inspect(record.topLevel, { ...signal }).catch(() => undefined);
  if (repository === undefined) return false;
  await ensureMirror({ locksDir, repository, because: 'damaged', ...signal });
  return true;
}

async function collectOnce(locksDir: string, request: CollectRequest, subject: string): Promise<CollectOutcome> {
  const { worktreePath } = request;
  const known = readRecord(locksDir, subject);
  if (request.owner !== undefined && known?.owner !== request.owner) {
    throw new LonghaulError(
      'worktree_in_use',
      `The worktree ${worktreePath} no longer belongs to task ${request.owner}.`,
    );
  }
  const changed = known && whyReplaced({ ...known, worktreePath: subject }, undefined);
  const record =
    (known?.state === 'ready' || known?.state === 'parked') && changed === undefined
      ? await ensureEntry(locksDir, known, request.signal)
      : known;
  if (known !== undefined && record === undefined) {
    return {
      kind: 'kept',
      reason: `the mirror of the project was removed, and the project has no commit ${known.base}, from which the task began`,
    };
  }
  const commonDir = commonDirOfWorktree(locksDir, request.projectPath, record, subject);
  const entry = findEntry(commonDir, subject);
  const status = orAbsentSync(() => lstatSync(subject));
  if (entry === undefined || status === undefined || record?.state === 'making') {
    throw new LonghaulError(
      'git_failed',
      `The worktree ${worktreePath} does not exist or is incomplete: there is nothing to collect.`,
    );
  }
  // The folder at the path may not be the folder that Longhaul created, because a link, a clone or a new folder may
  // have replaced it.
  const why = whyReplaced({ ...record, worktreePath: subject }, entry.adminDir);
  if (why !== undefined) return { kind: 'kept', reason: why, replaced: true };
  const index = path.join(entry.adminDir, 'longhaul-index');
  const env = { GIT_DIR: entry.adminDir, GIT_WORK_TREE: subject, GIT_INDEX_FILE: index };
  const at = { cwd: subject, env, ...(request.signal && { signal: request.signal }) };
  const topLevel = record?.topLevel ?? request.projectPath ?? path.dirname(commonDir);
  const again = record?.state === 'collected' || record?.state === 'parked';
  const { collected, holds } = await collect({
    request: { ...request, worktreePath: subject },
    locksDir,
    commonDir,
    adminDir: entry.adminDir,
    topLevel,
    again,
    forced: [],
    index,
    at,
  });
  if (record !== undefined && collected.kind !== 'kept') {
    const { holds: _holds, parked: _parked, ...rest } = record;
    writeRecord(locksDir, { ...rest, state: 'collected', ...(holds !== undefined && { holds }) });
  }
  return collected;
}

/**
 * Returns the git common directory of the repository that has the worktree's entry. Throws `not_a_repository` if no
 * repository has it.
 */
function commonDirOfWorktree(
  locksDir: string,
  projectPath: string | undefined,
  record: WorktreeRecord | undefined,
  worktreePath: string,
): string {
  const commonDir = ownerOfWorktree({ locksDir, projectPath, record, worktreePath });
  if (commonDir !== undefined) return commonDir;
  const what = projectPath === undefined ? 'a known project' : `the project in ${projectPath}`;
  throw new LonghaulError('not_a_repository', `${worktreePath} is not a worktree of ${what}.`);
}

interface Held {
  readonly collected: CollectOutcome;
  /** The commit whose files the folder has. Undefined if the worktree cannot be parked. */
  readonly holds?: string | undefined;
}

async function collect(collection: Collection): Promise<Held> {
  const { worktreePath, signal, base: from } = collection.request;
  try {
    await rm(collectedIndex(collection.adminDir), { force: true });
    const special = specialFiles(worktreePath, signal);
    await copyIndex(collection);
    const [{ status, unreadable }, base] = await Promise.all([statusWithNestedAside(collection), readBase(collection)]);
    if (status.ignored.length > 0) collection.forced = await forcedFiles(collection);
    const isForced = new Set(collection.forced.map((name) => filePath(name).path));
    const earlier = earlierIgnored(collection.adminDir);
    const leftOut = status.ignored.filter((name) => !isForced.has(name));
    const submodules = await listSubmodules(worktreePath, signal);
    const stranded =
      (await unstorableSubmoduleWork({
        worktreePath,
        source: { gitDir: commonDirOf(collection.topLevel) ?? collection.commonDir, checkout: collection.topLevel },
        submodules,
        states: status.gitlinks,
        ...(signal && { signal }),
      })) ?? unreadable;
    const notes = async (): Promise<string[]> => [
      ...notesOnFormerBranch(collection.adminDir),
      ...(await keepBranches(collection)),
      ...noteOnSpecial(await special, leftOut),
      ...noteOnIgnored(written),
    ];
    const written = leftOut.filter((name) => !earlier.has(name));
    const ignored = written.slice(0, IGNORED_LIMIT);
    writeIgnored(collection.adminDir, leftOut);
    // Submodules, special files and nested repositories are not in the commit. The next task would find them in its
    // worktree, so such a worktree is not parked.
    const isPlain = submodules.length === 0 && (await special).length === 0;
    if (
      status.clean &&
      isForced.size === 0 &&
      (await detachedHead(collection)) === collection.request.base &&
      stranded === undefined
    ) {
      if (collection.again) await dropRef(collection);
      return { collected: { kind: 'none', ignored, notes: await notes() }, holds: isPlain ? from : undefined };
    }
    const stored = await storeCommit(collection, base, new Set(submodules.map((one) => one.path)));
    if (stored.kind === 'kept') {
      if (stored.commit === undefined) await dropBrokenRef(collection);
      return { collected: stored };
    }
    if (stranded !== undefined)
      return { collected: { kind: 'kept', reason: stranded, ...(stored.commit && { commit: stored.commit }) } };
    const rest = { ignored, notes: await notes() };
    const hasNested = (await orAbsent(lstat(nestedGitFolderOf(worktreePath)))) !== undefined;
    await rename(collection.index, collectedIndex(collection.adminDir));
    return {
      collected: stored.kind === 'none' ? { kind: 'none', ...rest } : { ...stored, ...rest },
      holds: isPlain && !hasNested ? (stored.commit ?? from) : undefined,
    };
  } catch (error) {
    await dropBrokenRef(collection);
    throw error;
  } finally {
    await rm(collection.index, { force: true });
    await restoreNestedGit(worktreePath);
  }
}

/** Returns the path of the index that lists the stored files. `parkWorktree` makes this index the worktree's own. */
export const collectedIndex = (adminDir: string): string => path.join(adminDir, 'longhaul-collected-index');

async function readBase(collection: Collection): Promise<BaseCommit> {
  const commit = await gitText(['cat-file', 'commit', collection.request.base], collection.at);
  const tree = /^tree ([0-9a-f]+)$/m.exec(commit)?.[1];
  const date = /^committer .*> (\d+ [+-]\d{4})$/m.exec(commit)?.[1];
  if (tree === undefined)
    throw new LonghaulError(
      'git_failed',
      `${collection.request.base} is not a commit: expected the base of a worktree.`,
    );
  return { tree, date: `@${date ?? '0 +0000'}` };
}

/** Returns the commit of a detached HEAD. Returns undefined if HEAD names a branch. */
async function detachedHead(collection: Collection): Promise<string | undefined> {
  const head = (await readFile(path.join(collection.adminDir, 'HEAD'), 'utf8')).trim();
  return head.startsWith('ref: ') ? undefined : head;
}
