/**
 * Makes the worktree of a task, finds the one that an earlier run of the same step made, or makes it anew.
 *
 * What must never happen: a folder that is not ours is touched; a half made worktree passes for a whole
 * one; the user's checkout, index or settings change. Git processes: 1 for a new worktree (reset),
 * none for one that is there, 1 to reset; one more (rev-parse) for a given base or an unusual repository, 6 for each
 * submodule.
 */
import { lstatSync, mkdirSync, readdirSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { LonghaulError } from '../contract/errors.ts';
import { addEntry } from './add-entry.ts';
import { clearWorktree } from './clear.ts';
import { git, gitError, tryGit } from './git.ts';
import { identityOf, replaced, replacement } from './identity.ts';
import { WITHOUT_LFS, hasLfs, usesLfs } from './lfs.ts';
import { type WorktreeRecord, readRecord, writeRecord } from './records.ts';
import { type Repository, canonical, findEntry, ifThere, inspect, isOurs } from './repository.ts';
import { withLock } from './repository-lock.ts';
import { populateSubmodules } from './submodules.ts';

export interface CreateRequest {
  readonly projectPath: string;
  /** Absolute. Its parents are made. */
  readonly worktreePath: string;
  /** Commit to start from; default: what the project's checkout stands on. */
  readonly base?: string;
  /** The task that owns it: a worktree of another owner is refused. Default: the owner is not checked. */
  readonly owner?: string;
  /** Its owner knows that it was made before: our record of it may have gone with the machine's power, the work has not. */
  readonly madeBefore?: boolean;
  readonly signal?: AbortSignal;
}

export interface MadeWorktree {
  /** `found`: made by an earlier run and left as it is, with what an agent did in it. */
  readonly state: 'created' | 'found';
  /** Real path. */
  readonly worktreePath: string;
  /** Full id. Of a worktree that was found: the commit that it was made from. */
  readonly base: string;
  /** Sentences for the person who asked for the task. */
  readonly warnings: string[];
}

interface Making {
  readonly locksDir: string;
  readonly repository: Repository;
  readonly record: WorktreeRecord;
  readonly signal?: AbortSignal;
}

export async function createWorktree(locksDir: string, request: CreateRequest): Promise<MadeWorktree> {
  const signal = request.signal && { signal: request.signal };
  const repository = await inspect(request.projectPath, { ...(request.base && { rev: request.base }), ...signal });
  const worktreePath = targetPath(request.worktreePath, repository);
  return withLock({ locksDir, subject: worktreePath, ...signal }, () =>
    makeOrFind({ locksDir, repository, worktreePath, request }),
  );
}

/** The path with all links in its parents resolved, as git will record it. */
function targetPath(worktreePath: string, repository: Repository): string {
  if (!path.isAbsolute(worktreePath)) {
    throw new LonghaulError('invalid_input', `A worktree's path must be absolute, found ${worktreePath}.`);
  }
  const parent = path.dirname(path.resolve(worktreePath));
  mkdirSync(parent, { recursive: true });
  const target = path.join(realpathSync(parent), path.basename(worktreePath));
  if (`${repository.topLevel}/`.startsWith(`${target}/`))
    throw inUse(target, "it is the project's own folder or holds it");
  return target;
}

interface Target {
  readonly locksDir: string;
  readonly repository: Repository;
  readonly worktreePath: string;
  readonly request: CreateRequest;
}

async function makeOrFind({ locksDir, repository, worktreePath, request }: Target): Promise<MadeWorktree> {
  const signal = request.signal && { signal: request.signal };
  const { topLevel, commonDir, head: base } = repository;
  const owner = request.owner === undefined ? {} : { owner: request.owner };
  const earlier = readRecord(locksDir, worktreePath);
  // What is collected is still the task's: its own step, run again, must not take it away before it is queued.
  const isOwn = request.owner !== undefined && earlier?.owner === request.owner;
  if (earlier?.state === 'ready' || (earlier?.state === 'collected' && isOwn)) {
    if (earlier.commonDir !== commonDir) throw inUse(worktreePath, `it is a worktree of ${earlier.topLevel}`);
    if (earlier.owner !== request.owner) throw inUse(worktreePath, `task ${earlier.owner ?? 'unknown'} has work in it`);
    refuseReplaced(earlier);
    if (adopt(earlier)) return { state: 'found', worktreePath, base: earlier.base, warnings: [] };
  }
  const inTheWay = earlier === undefined ? occupant(commonDir, worktreePath) : 'ours';
  if (inTheWay !== 'ours' && inTheWay !== 'nothing') throw inUse(worktreePath, inTheWay);
  const record: WorktreeRecord = { worktreePath, topLevel, commonDir, base, ...owner, state: 'making' };
  if (earlier === undefined && request.madeBefore && inTheWay === 'ours' && adopt(record)) {
    writeRecord(locksDir, { ...record, state: 'ready', identity: identityOf(worktreePath) });
    return { state: 'found', worktreePath, base, warnings: [] };
  }
  writeRecord(locksDir, record);
  if (inTheWay === 'ours') {
    await clearWorktree({ locksDir, worktreePath, commonDir: earlier?.commonDir ?? commonDir, ...signal });
  }
  const warnings = await make({ locksDir, repository, record, ...signal });
  return { state: 'created', worktreePath, base, warnings };
}

export interface ResetRequest {
  readonly worktreePath: string;
  readonly base: string;
  readonly signal?: AbortSignal;
}

/**
 * Brings a worktree back to its base, byte for byte, whatever the agent did in it or with git: it is made
 * anew in its place. Killed midway, the next reset or create makes it whole.
 */
export async function resetWorktree(locksDir: string, request: ResetRequest): Promise<{ warnings: string[] }> {
  const worktreePath = canonical(request.worktreePath);
  const signal = request.signal && { signal: request.signal };
  return withLock({ locksDir, subject: worktreePath, ...signal }, async () => {
    const earlier = readRecord(locksDir, worktreePath);
    if (earlier === undefined) throw inUse(worktreePath, 'it is no worktree that was made here');
    refuseReplaced(earlier);
    // The folder that is to come is another one.
    const { identity: _, ...rest } = earlier;
    const { commonDir, topLevel } = earlier;
    const record: WorktreeRecord = { ...rest, base: request.base, state: 'making' };
    writeRecord(locksDir, record);
    await clearWorktree({ locksDir, worktreePath, commonDir, ...signal });
    const repository = { topLevel, commonDir, head: request.base };
    return { warnings: await make({ locksDir, repository, record, ...signal }) };
  });
}

/** Throws `worktree_replaced` if what is at its path is not the folder that was made there. */
export function refuseReplaced(record: WorktreeRecord): void {
  const why = replacement(record, findEntry(record.commonDir, record.worktreePath)?.adminDir);
  if (why !== undefined) throw replaced(why);
}

/**
 * Whether git knows it and its folder is there. What the agent's tools, of which none is left, did to it is put right: a
 * `.git` file that was removed, locks of a git that was killed.
 */
function adopt({ worktreePath, commonDir }: WorktreeRecord): boolean {
  const entry = findEntry(commonDir, worktreePath);
  if (entry === undefined || ifThere(() => lstatSync(worktreePath))?.isDirectory() !== true) return false;
  const dotGit = path.join(worktreePath, '.git');
  if (ifThere(() => lstatSync(dotGit)) === undefined) writeFileSync(dotGit, `gitdir: ${entry.adminDir}\n`);
  removeLocks(entry.adminDir);
  return true;
}

/** Also those of its refs, and of its submodules (`modules/`). */
function removeLocks(folder: string): void {
  for (const item of readdirSync(folder, { withFileTypes: true })) {
    const found = path.join(folder, item.name);
    if (item.isDirectory() && item.name !== 'objects') removeLocks(found);
    else if (item.isFile() && item.name.endsWith('.lock')) rmSync(found, { force: true });
  }
}

/** What holds the path, where we have no record: in words if it is not ours. */
function occupant(commonDir: string, worktreePath: string): string {
  const entry = findEntry(commonDir, worktreePath);
  if (entry !== undefined) return isOurs(entry) ? 'ours' : 'git lists it as a worktree that Longhaul did not create';
  const status = ifThere(() => lstatSync(worktreePath));
  if (status === undefined) return 'nothing';
  if (!status.isDirectory()) return 'a file is there';
  return readdirSync(worktreePath).length === 0 ? 'nothing' : 'a folder with files is there';
}

function inUse(worktreePath: string, why: string): LonghaulError {
  const what = `The worktree's path ${worktreePath} is in use: ${why}. Nothing in it was changed.`;
  return new LonghaulError('worktree_in_use', `${what} Move it away or remove it, and try again.`);
}

/** From nothing to ready. The repository is locked while its entry is added only: checkouts run side by side. */
async function make({ locksDir, repository, record, signal: given }: Making): Promise<string[]> {
  const signal = given && { signal: given };
  const { worktreePath, base } = record;
  await withLock({ locksDir, subject: repository.commonDir, ...signal }, () =>
    addEntry({ locksDir, repository, worktreePath, base, ...signal }),
  );
  const warnings = await checkOut(worktreePath, given);
  warnings.push(...(await populateSubmodules({ repository, worktreePath, ...signal })));
  writeRecord(locksDir, { ...record, state: 'ready', identity: identityOf(worktreePath) });
  return warnings;
}

async function checkOut(worktreePath: string, given?: AbortSignal): Promise<string[]> {
  const options = { cwd: worktreePath, ...(given && { signal: given }) };
  const args = ['reset', '--quiet', '--hard', '--no-recurse-submodules'];
  const outcome = await tryGit(args, options);
  if (outcome.exitCode !== 0) {
    if (!/lfs/i.test(outcome.stderr)) throw gitError(args, worktreePath, outcome);
    await git(args, { ...options, settings: WITHOUT_LFS });
    return ['git-lfs could not fetch all large files of this repository: the agent sees pointer files instead.'];
  }
  if (hasLfs() || !usesLfs(worktreePath)) return [];
  return [
    'This repository keeps large files with git-lfs, which is not installed: the agent sees pointer files instead.',
  ];
}
