/**
 * Stores what an agent left in its worktree as one commit on the base, under a ref of ours.
 *
 * The files on disk are what counts, whatever the agent did with git: staged, committed, switched or made
 * branches. A branch that it made stays in the repository, as a person's own would, and is named in
 * `notes`; the same holds for tags and stashes, which are not looked for. What must never happen: the
 * user's index, branches, stash or checkout change; a file is left out silently; hooks run; a second
 * run stores another commit for the same files.
 *
 * Left out: what is ignored (listed by name), and files that the agent told git to leave alone
 * (`update-index --assume-unchanged`). Git processes: 2 if nothing changed, else 7 (status and cat-file,
 * add, write-tree, commit-tree and diff-tree, update-ref), 8 with binary files.
 */
import { constants, lstatSync } from 'node:fs';
import { copyFile, readFile, rm, stat, utimes } from 'node:fs/promises';
import path from 'node:path';
import { isErrno, LonghaulError } from '../workflows/errors.ts';
import { type GitOptions, git, gitError, gitText, tryGit } from './git.ts';
import { moveAside, putBack } from './nested.ts';
import { type WorktreeRecord, readRecord, writeRecord } from './records.ts';
import { canonical, commonDirOf, findEntry, ifThere, orAbsent, ownCommonDirOf } from './repository.ts';
import { withLock } from './repository-lock.ts';
import { noteOnSpecial, specialFiles } from './special-files.ts';
import { type WorktreeStatus, parseStatus } from './status.ts';
import { listSubmodules, strandedWork } from './submodules.ts';
import { type ChangedFile, PATCH_LIMIT_BYTES, type TreeDiff, diffTrees, readableDiff } from './tree-diff.ts';

export interface CollectRequest {
  /** Absent if nobody knows it any more: our record says whose the worktree is, else its `.git`. */
  readonly projectPath?: string;
  readonly worktreePath: string;
  /** Full id of the commit that the change is against; the new commit's parent. */
  readonly base: string;
  /** Where the commit is kept: refs/longhaul/… */
  readonly ref: string;
  readonly message: string;
  /** Only if it is still this task's: another may have one at the same path by now. */
  readonly owner?: string;
  /** Of the commit. Default: the base's own, so that a second run makes the same commit. */
  readonly date?: Date;
  readonly signal?: AbortSignal;
}

export interface CollectedChange {
  readonly kind: 'changed';
  readonly commit: string;
  readonly files: ChangedFile[];
  readonly additions: number;
  readonly deletions: number;
  /** For reading: cut at 1 MB, binary files named only, what is not UTF-8 replaced. */
  readonly diff: string;
  /** For applying: complete, binary files included, bytes as they are. */
  readonly patch: Buffer;
  /** Names of ignored files and folders that the agent left, at most 200. */
  readonly ignored: string[];
  /** Sentences about what the agent did with git. */
  readonly notes: string[];
}

export type Collected =
  | { readonly kind: 'none'; readonly ignored: string[]; readonly notes: string[] }
  | CollectedChange
  /** The worktree must stay: it holds what could not be stored. `commit`: what could. */
  | { readonly kind: 'kept'; readonly reason: string; readonly commit?: string };

const IGNORED_LIMIT = 200;
/** Nested repositories can hold nested ones; deeper than this is an accident. */
const NESTING_LIMIT = 20;
const AUTHOR = { name: 'Longhaul', email: 'longhaul@localhost' } as const;

interface Job {
  readonly request: CollectRequest;
  readonly locksDir: string;
  readonly commonDir: string;
  readonly adminDir: string;
  readonly topLevel: string;
  /** It was collected before, so that the ref may be there. */
  readonly again: boolean;
  /** Git's view of the worktree, whatever became of its `.git` file. */
  readonly at: GitOptions;
}

export async function collectChange(locksDir: string, request: CollectRequest): Promise<Collected> {
  const subject = canonical(request.worktreePath);
  const { worktreePath } = request;
  return withLock({ locksDir, subject, ...(request.signal && { signal: request.signal }) }, async () => {
    const record = readRecord(locksDir, subject);
    if (request.owner !== undefined && record?.owner !== request.owner) {
      throw new LonghaulError('worktree_in_use', `${worktreePath} is no longer task ${request.owner}'s.`);
    }
    const commonDir = sharedFolder(request.projectPath, record, subject);
    const entry = findEntry(commonDir, subject);
    const status = ifThere(() => lstatSync(subject));
    if (entry === undefined || status === undefined || record?.state === 'making') {
      throw new LonghaulError(
        'git_failed',
        `The worktree ${worktreePath} is gone or was never finished: nothing to collect.`,
      );
    }
    // An agent may have put a link there: what it leads to is somebody else's.
    if (!status.isDirectory()) {
      return { kind: 'kept', reason: `${subject} is no longer a folder, but a link or a file that took its place` };
    }
    const env = {
      GIT_DIR: entry.adminDir,
      GIT_WORK_TREE: subject,
      GIT_INDEX_FILE: path.join(entry.adminDir, 'longhaul-index'),
    };
    const at = { cwd: subject, env, ...(request.signal && { signal: request.signal }) };
    const topLevel = record?.topLevel ?? request.projectPath ?? path.dirname(commonDir);
    const again = record?.state === 'collected';
    const collected = await collect({
      request: { ...request, worktreePath: subject },
      locksDir,
      commonDir,
      adminDir: entry.adminDir,
      topLevel,
      again,
      at,
    });
    if (record !== undefined && collected.kind !== 'kept') writeRecord(locksDir, { ...record, state: 'collected' });
    return collected;
  });
}

/** Of the repository that the worktree belongs to. */
function sharedFolder(
  projectPath: string | undefined,
  record: WorktreeRecord | undefined,
  worktreePath: string,
): string {
  const known = record?.commonDir;
  const commonDir = projectPath === undefined ? (known ?? ownCommonDirOf(worktreePath)) : commonDirOf(projectPath);
  if (commonDir !== undefined && commonDir === (known ?? commonDir)) return commonDir;
  const what = projectPath === undefined ? 'a known project' : `the project in ${projectPath}`;
  throw new LonghaulError('not_a_repository', `${worktreePath} is no worktree of ${what}.`);
}

async function collect(job: Job): Promise<Collected> {
  const { worktreePath, signal } = job.request;
  const index = path.join(job.adminDir, 'longhaul-index');
  try {
    const special = specialFiles(worktreePath, signal);
    await copyIndex(job, index);
    const [{ status, unreadable }, base] = await Promise.all([survey(job), readBase(job)]);
    const submodules = await listSubmodules(worktreePath, signal);
    const stranded =
      (await strandedWork({
        worktreePath,
        source: { gitDir: job.commonDir, checkout: job.topLevel },
        submodules,
        states: status.gitlinks,
        ...(signal && { signal }),
      })) ?? unreadable;
    const notes = async (): Promise<string[]> => [
      ...(await notesOn(job)),
      ...noteOnSpecial(await special, status.ignored),
    ];
    const ignored = status.ignored.slice(0, IGNORED_LIMIT);
    if (status.clean && (await standsOn(job)) === job.request.base && stranded === undefined) {
      if (job.again) await dropRef(job);
      return { kind: 'none', ignored, notes: await notes() };
    }
    const stored = await store(job, base, new Set(submodules.map((one) => one.path)));
    if (stored.kind === 'kept') return stored;
    if (stranded !== undefined)
      return { kind: 'kept', reason: stranded, ...(stored.commit && { commit: stored.commit }) };
    const rest = { ignored, notes: await notes() };
    return stored.kind === 'none' ? { kind: 'none', ...rest } : { ...stored, ...rest };
  } finally {
    await rm(index, { force: true });
    await putBack(worktreePath);
  }
}

/**
 * The worktree's index, so that only what the agent touched is read again; without one (it was removed),
 * the base's. The copy keeps the time of the original, rounded down: git compares a file anew if it is
 * not older than the index.
 */
async function copyIndex(job: Job, index: string): Promise<void> {
  await rm(`${index}.lock`, { force: true });
  const original = path.join(job.adminDir, 'index');
  try {
    const { mtimeMs } = await stat(original);
    await copyFile(original, index, constants.COPYFILE_FICLONE);
    await utimes(index, mtimeMs / 1000, Math.floor(mtimeMs) / 1000);
  } catch (error) {
    if (!isErrno(error, 'ENOENT')) throw error;
    await git(['read-tree', job.request.base], job.at);
  }
}

/** What is there, after all nested repositories are moved aside. `unreadable`: a folder that git could not look into. */
async function survey(job: Job): Promise<{ status: WorktreeStatus; unreadable: string | undefined }> {
  const args = ['status', '--porcelain=v2', '-z', '--no-renames', '--untracked-files=all', '--ignored=matching'];
  for (let depth = 0; ; depth += 1) {
    const outcome = await tryGit([...args, '--ignore-submodules=none'], job.at);
    if (outcome.exitCode !== 0) throw gitError(args, job.request.worktreePath, outcome);
    const status = parseStatus(outcome.stdout);
    // Git cuts a warning at 4096 bytes: for a folder too deep to open, the quote at the end is missing.
    const folder = /could not open directory '([^'\n]{1,200})/.exec(outcome.stderr)?.[1];
    const unreadable = folder === undefined ? undefined : `the folder ${folder} cannot be read`;
    if (status.nested.length === 0 || depth > NESTING_LIMIT) return { status, unreadable };
    for (const nested of status.nested) await moveAside(job.request.worktreePath, nested);
  }
}

interface Base {
  readonly tree: string;
  /** As git writes dates: seconds and zone. */
  readonly date: string;
}

async function readBase(job: Job): Promise<Base> {
  const commit = await gitText(['cat-file', 'commit', job.request.base], job.at);
  const tree = /^tree ([0-9a-f]+)$/m.exec(commit)?.[1];
  const date = /^committer .*> (\d+ [+-]\d{4})$/m.exec(commit)?.[1];
  if (tree === undefined)
    throw new LonghaulError('git_failed', `${job.request.base} is no commit: expected the base of a worktree.`);
  return { tree, date: `@${date ?? '0 +0000'}` };
}

type Stored =
  | { readonly kind: 'none'; readonly commit?: undefined }
  | { readonly kind: 'kept'; readonly reason: string; readonly commit?: string }
  | Omit<CollectedChange, 'ignored' | 'notes'>;

async function store(job: Job, base: Base, submodules: ReadonlySet<string>): Promise<Stored> {
  for (let depth = 0; ; depth += 1) {
    const added = await tryGit(['add', '--all', '--sparse'], job.at);
    if (added.exitCode !== 0) return unstorable(gitError(['add'], job.request.worktreePath, added));
    const tree = await gitText(['write-tree'], job.at);
    if (tree === base.tree) {
      await dropRef(job);
      return { kind: 'none' };
    }
    const [commit, diff] = await Promise.all([
      commitTree(job, tree, base),
      diffTrees(base.tree, tree, withoutIndex(job)),
    ]);
    const pointers = diff?.newGitlinks.filter((one) => !submodules.has(one)) ?? [];
    if (pointers.length > 0 && depth < NESTING_LIMIT) {
      await unlinkNested(job, pointers);
      continue;
    }
    await withLock({ ...lockOf(job) }, () => git(['update-ref', job.request.ref, commit], job.at));
    if (diff === undefined) {
      const megabytes = PATCH_LIMIT_BYTES / 1024 / 1024;
      return {
        kind: 'kept',
        reason: `the change is larger than ${megabytes} MB: it is stored as ${job.request.ref}`,
        commit,
      };
    }
    return changed(job, commit, diff);
  }
}

const lockOf = (job: Job): { locksDir: string; subject: string; signal?: AbortSignal } => ({
  locksDir: job.locksDir,
  subject: job.commonDir,
  ...(job.request.signal && { signal: job.request.signal }),
});

/** A file that git cannot store is for a person to look at; a lock or a full disk is for the next attempt. */
function unstorable(error: LonghaulError): Stored {
  if (error.code !== 'git_failed') throw error;
  return { kind: 'kept', reason: error.message };
}

/** Repositories that the agent staged or committed as pointers: taken out of the index, so that their files go in. */
async function unlinkNested(job: Job, pointers: readonly string[]): Promise<void> {
  await git(['update-index', '--force-remove', '-z', '--stdin'], { ...job.at, input: `${pointers.join('\0')}\0` });
  for (const folder of pointers) await moveAside(job.request.worktreePath, folder);
  await survey(job);
}

async function commitTree(job: Job, tree: string, base: Base): Promise<string> {
  const { date } = job.request;
  const when = date === undefined ? base.date : `@${Math.floor(date.getTime() / 1000)} +0000`;
  const env = {
    ...job.at.env,
    GIT_AUTHOR_NAME: AUTHOR.name,
    GIT_AUTHOR_EMAIL: AUTHOR.email,
    GIT_AUTHOR_DATE: when,
    GIT_COMMITTER_NAME: AUTHOR.name,
    GIT_COMMITTER_EMAIL: AUTHOR.email,
    GIT_COMMITTER_DATE: when,
  };
  const input = `${job.request.message.replaceAll('\0', '\uFFFD').trimEnd()}\n`;
  return gitText(['commit-tree', tree, '-p', job.request.base, '-F', '-'], { ...job.at, env, input });
}

/** With an index that calls a file unchanged, git reads the file instead of the stored blob: not what the commit holds, if it changes now. */
function withoutIndex(job: Job): GitOptions {
  return { ...job.at, env: { ...job.at.env, GIT_INDEX_FILE: path.join(job.adminDir, 'longhaul-no-index') } };
}

async function changed(job: Job, commit: string, diff: TreeDiff): Promise<Stored> {
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

/** An earlier run stored a commit, and the change was undone since. */
async function dropRef(job: Job): Promise<void> {
  await withLock(lockOf(job), () => git(['update-ref', '-d', job.request.ref], job.at));
}

/** The commit of a detached HEAD; undefined on a branch. */
async function standsOn(job: Job): Promise<string | undefined> {
  const head = (await readFile(path.join(job.adminDir, 'HEAD'), 'utf8')).trim();
  return head.startsWith('ref: ') ? undefined : head;
}

async function notesOn(job: Job): Promise<string[]> {
  const head = (await orAbsent(readFile(path.join(job.adminDir, 'HEAD'), 'utf8')))?.trim() ?? '';
  if (!head.startsWith('ref: refs/heads/')) return [];
  return [
    `The agent left its worktree on branch ${head.slice('ref: refs/heads/'.length)}, which stays in the repository.`,
  ];
}
