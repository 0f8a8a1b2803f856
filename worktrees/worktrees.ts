/**
 * The interface through which the steps use git: one worktree for each task, its result as a commit under refs/longhaul
 * of the project's mirror. No file of the user's repository is changed. Every call can be repeated after a crash at any
 * point, with the effect of one call. Calls on one worktree wait for each other, also between processes; so do calls on
 * one repository that git cannot run at the same time.
 *
 * Failures are LonghaulErrors: `project_has_no_path`, `project_missing`, `not_a_repository`, `empty_repository`,
 * `worktree_in_use`, `repository_locked`, `disk_full`, `step_timeout`, `git_failed`. An aborted call throws its
 * signal's reason after its git processes have exited.
 */
import { lstatSync } from 'node:fs';
import path from 'node:path';
import { LonghaulError } from '../contract/errors.ts';
import { type CollectOutcome, collectChange } from './collect.ts';
import {
  type CreateRequest,
  type MadeWorktree,
  type ResetRequest,
  createWorktree,
  refuseReplaced,
  resetWorktree,
} from './create.ts';
import { git, tryGit, WITHOUT_NETWORK } from './git.ts';
import { replacedError, whyReplaced } from './identity.ts';
import { type WorktreeRecord, findOwned, listRecords, readRecord } from './records.ts';
import { findMirror, isMirror } from './mirror.ts';
import type { CollectRequest } from './collection.ts';
import { type ParkRequest, parkWorktree } from './park.ts';
import { deleteRef } from './refs.ts';
import { type RemoveRequest, removeWorktree } from './remove.ts';
import { removeParked, type Unparked } from './remove-parked.ts';
import { type Repository, canonical, commonDirOf, findEntry, orAbsentSync, inspect } from './repository.ts';
import { type EditsRequest, uncommittedEdits } from './uncommitted-edits.ts';

export interface WorktreesOptions {
  /** The folder of the locks and worktree records. It is created if missing. All processes of a host share it. */
  readonly locksDir: string;
  /** The folder that contains the worktrees. A folder below it is removed together with the last worktree in it. */
  readonly root?: string;
}

export interface RefRequest {
  readonly projectPath: string;
  /** The name of the ref: refs/longhaul/… */
  readonly ref: string;
  readonly signal?: AbortSignal;
}

export interface Worktrees {
  inspect(projectPath: string | undefined, signal?: AbortSignal): Promise<Repository>;
  create(request: CreateRequest): Promise<MadeWorktree>;
  /** Returns a sentence about uncommitted edits in the user's checkout; undefined if there are none. */
  uncommittedEdits(projectPath: string, request?: EditsRequest): Promise<string | undefined>;
  reset(request: ResetRequest): Promise<{ warnings: string[] }>;
  collect(request: CollectRequest): Promise<CollectOutcome>;
  remove(request: RemoveRequest): Promise<{ removed: boolean }>;
  /** Parks a collected worktree for the session's next task. Returns false if it cannot be parked. */
  park(request: ParkRequest): Promise<boolean>;
  /** Returns whether a worktree was parked at the path and another folder is there now. */
  isParkedReplaced(worktreePath: string): boolean;
  /** Returns the path of a parked worktree whose folder's name begins with `name`; undefined if there is none. */
  findParked(name: string): Promise<string | undefined>;
  /** Removes a parked worktree. Edits that a user made in it by hand are stored first. */
  removeParked(request: { worktreePath: string; signal?: AbortSignal }): Promise<Unparked>;
  /**
   * Returns the record of the worktree whose owner is this task; undefined if there is none. It is for tasks whose rows
   * were deleted.
   */
  findOwned(owner: string): Promise<WorktreeRecord | undefined>;
  /**
   * Throws `worktree_replaced` if the folder at the path is not the one that was created there, or belongs to another
   * home.
   */
  refuseReplaced(worktreePath: string): void;
  /**
   * Returns the identity of the worktree's folder at this path. The identity changes when the worktree is created
   * again. Returns `none` if the folder is missing or incomplete; undefined if no record names the path.
   */
  folderAt(worktreePath: string): string | undefined;
  /**
   * Whether this home may work at the path: the path is in the home's worktrees folder, or a record says that this home
   * created the worktree. False for a worktree of another home, which a row may name if the database was copied from
   * that home.
   */
  isOwn(worktreePath: string): boolean;
  /** Returns the task that owns the worktree at this path now; undefined if the records name no owner. */
  ownerOf(worktreePath: string): string | undefined;
  /** Returns the commit that `ref` names; undefined if there is no such ref. */
  resultCommit(request: RefRequest): Promise<string | undefined>;
  /**
   * Returns whether the project's mirror or the project has the commit. Throws `git_failed` if git cannot determine
   * that.
   */
  hasCommit(projectPath: string, commit: string): Promise<boolean>;
  /** Deletes the ref from the mirror and the project. If the ref does not exist, this function does nothing. */
  deleteRef(request: RefRequest): Promise<void>;
}

/** Returns the name of the ref that names a task's result. */
export const taskRef = (taskId: string): string => `refs/longhaul/tasks/${taskId}`;

export function makeWorktrees({ locksDir, root }: WorktreesOptions): Worktrees {
  const isOwn = (worktreePath: string): boolean => {
    const at = canonical(worktreePath);
    return root === undefined || isWithin(root, at) || readRecord(locksDir, at) !== undefined;
  };
  const context = { locksDir, ...(root !== undefined && { root }) };
  return {
    inspect: (projectPath, signal) => inspect(projectPath, { ...(signal && { signal }) }),
    create: (request) => createWorktree(locksDir, request),
    uncommittedEdits,
    reset: (request) => resetWorktree(locksDir, request),
    collect(request) {
      checkRef(request.ref);
      return collectChange(locksDir, request);
    },
    remove: (request) => removeWorktree(context, request),
    park: (request) => parkWorktree(locksDir, request),
    isParkedReplaced(worktreePath) {
      const record = readRecord(locksDir, canonical(worktreePath));
      return record?.state === 'parked' && isReplaced(record);
    },
    async findParked(name) {
      const parked = (await listRecords(locksDir)).filter((record) => record.state === 'parked');
      return parked.find((one) => path.basename(one.worktreePath).startsWith(name) && !isReplaced(one))?.worktreePath;
    },
    removeParked: (request) => removeParked(context, request),
    findOwned: (owner) => findOwned(locksDir, owner),
    refuseReplaced(worktreePath) {
      if (!isOwn(worktreePath))
        throw replacedError(`expected a worktree in ${root}, or one that this home created, found ${worktreePath}`);
      const record = readRecord(locksDir, canonical(worktreePath));
      if (record !== undefined && record.state !== 'making') refuseReplaced(record);
    },
    folderAt: (worktreePath) => folderOf(readRecord(locksDir, canonical(worktreePath))),
    isOwn,
    ownerOf: (worktreePath) => readRecord(locksDir, canonical(worktreePath))?.owner,
    resultCommit: async (request) => (await findResult(locksDir, request))?.commit,
    hasCommit: async (projectPath, commit) => (await repositoryWith(locksDir, projectPath, commit)) !== undefined,
    async deleteRef({ projectPath, ref, signal }) {
      checkRef(ref);
      for (const commonDir of await repositoriesWithResults(locksDir, projectPath)) {
        const at = { cwd: commonDir, ...(signal && { signal }) };
        const there = await tryGit(['rev-parse', '--verify', '--quiet', ref], at);
        if (there.exitCode === 0) await deleteRef({ locksDir, commonDir, ref, at });
      }
    },
  };
}

const isReplaced = (record: WorktreeRecord): boolean =>
  whyReplaced(record, findEntry(record.commonDir, record.worktreePath)?.adminDir) !== undefined;

function folderOf(record: WorktreeRecord | undefined): string | undefined {
  if (record === undefined) return undefined;
  const { worktreePath, state, identity } = record;
  if (state === 'making' || orAbsentSync(() => lstatSync(worktreePath)) === undefined) return 'none';
  return identity && `${identity.ino}:${identity.birth ?? ''}`;
}

/** Returns the folder of a home that contains its locks and worktree records. */
export const locksOf = (home: string): string => path.join(home, 'locks');

/**
 * Lists the repositories that may have results: the mirror first, then the project, in which earlier versions stored
 * them.
 */
export async function repositoriesWithResults(locksDir: string, projectPath: string): Promise<string[]> {
  if (isMirror(locksDir, projectPath)) return [projectPath];
  const commonDir = commonDirOf(projectPath) ?? (await inspect(projectPath)).commonDir;
  const mirror = findMirror(locksDir, commonDir);
  return mirror === undefined ? [commonDir] : [mirror, commonDir];
}

export interface FoundResult {
  /** The mirror or the project. */
  readonly repository: string;
  readonly commit: string;
}

/** Returns the commit that `ref` names and the repository that has it; undefined if there is no such ref. */
export async function findResult(
  locksDir: string,
  { projectPath, ref, signal }: RefRequest,
): Promise<FoundResult | undefined> {
  checkRef(ref);
  const args = ['rev-parse', '--verify', '--quiet', `${ref}^{commit}`];
  for (const repository of await repositoriesWithResults(locksDir, projectPath)) {
    const outcome = await tryGit(args, { cwd: repository, ...(signal && { signal }) });
    if (outcome.exitCode === 0) return { repository, commit: outcome.stdout.toString('utf8').trim() };
  }
  return undefined;
}

/**
 * Returns the repository that has the commit; undefined if none has it. Throws `git_failed` if git cannot determine
 * that.
 */
export async function repositoryWith(
  locksDir: string,
  projectPath: string,
  commit: string,
): Promise<string | undefined> {
  if (!/^[0-9a-f]{4,64}$/.test(commit)) return undefined;
  for (const cwd of await repositoriesWithResults(locksDir, projectPath)) {
    // `cat-file -e` is not used, because its exit code is the same for a missing and for an unreadable object.
    const input = Buffer.from(`${commit}^{commit}\n`);
    const found = (await git(['cat-file', '--batch-check'], { cwd, env: WITHOUT_NETWORK, input })).toString('utf8');
    if (!found.endsWith(' missing\n')) return cwd;
  }
  return undefined;
}

/**
 * Whether the path is below `root`. `root` may be a link to another disk, so the links in its path are resolved, as
 * they are in a worktree's path.
 */
const isWithin = (root: string, at: string): boolean =>
  at.startsWith(`${path.dirname(canonical(path.join(root, 'any')))}${path.sep}`);

/** Throws for a ref outside refs/longhaul, because all other refs belong to the user. */
function checkRef(ref: string): void {
  if (/^refs\/longhaul\/[\w-]+(\/[\w-]+)*$/.test(ref)) return;
  throw new LonghaulError('invalid_input', `Expected a ref like refs/longhaul/tasks/<id>, found ${ref}.`);
}
