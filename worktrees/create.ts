/**
 * Makes the worktree of a task, finds the one that an earlier run of the same step made, or makes it anew.
 *
 * What must never happen: a folder that is not ours is touched; a half made worktree passes for a whole
 * one; anything in the project changes. Git processes: 1 for a new worktree (reset), none for one that is there,
 * 1 to reset; one more (rev-parse) for a given base or an unusual repository, one (config) if the project's settings
 * have changed, 6 for each submodule.
 */
import { lstatSync, mkdirSync, readdirSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { LonghaulError } from '../contract/errors.ts';
import { addEntry } from './add-entry.ts';
import { fillEntry, GIVEN_REFS, hasOwnRepository, makeOwnRepository } from './borrow.ts';
import { clearWorktree } from './clear.ts';
import { git, gitError, type GitOutcome, tryGit } from './git.ts';
import { identityOf, replaced, replacement } from './identity.ts';
import { WITHOUT_LFS, hasLfs, usesLfs } from './lfs.ts';
import { ensureMirror } from './mirror.ts';
import { type WorktreeRecord, readRecord, writeRecord } from './records.ts';
import { type Repository, canonical, findEntry, ifThere, inspect, isOurs } from './repository.ts';
import { withLock } from './repository-lock.ts';
import { withEntry } from './restore-entry.ts';
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
  const repository = await inspect(request.projectPath, { ...signal });
  const worktreePath = targetPath(request.worktreePath, repository);
  const mirror = await ensureMirror({ locksDir, repository, ...signal });
  const base = request.base ? await findBase({ locksDir, repository, mirror, request }) : repository.head;
  return withLock({ locksDir, subject: worktreePath, ...signal }, () =>
    makeOrFind({ locksDir, repository, mirror, base, worktreePath, request }),
  );
}

/** The full id of a commit that the project has, or a task's result. */
async function findBase({
  locksDir,
  repository,
  mirror,
  request,
}: Omit<Target, 'base' | 'worktreePath'>): Promise<string> {
  const { base: rev = 'HEAD' } = request;
  const signal = request.signal && { signal: request.signal };
  if (!/^\w[\w./-]*$/.test(rev)) throw new LonghaulError('invalid_input', `Expected a commit's id, found ${rev}.`);
  const find = (): Promise<GitOutcome> =>
    tryGit(['rev-parse', '--verify', '--quiet', `${rev}^{commit}`], { cwd: mirror, ...signal });
  let found = await find();
  if (found.exitCode !== 0) {
    await ensureMirror({ locksDir, repository, because: 'missing', ...signal });
    found = await find();
  }
  if (found.exitCode === 0) return found.stdout.toString('utf8').trimEnd();
  throw new LonghaulError('git_failed', `The repository in ${repository.topLevel} has no commit ${rev}.`);
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
  readonly mirror: string;
  readonly base: string;
  readonly worktreePath: string;
  readonly request: CreateRequest;
}

async function makeOrFind({
  locksDir,
  repository,
  mirror,
  base,
  worktreePath,
  request,
}: Target): Promise<MadeWorktree> {
  const signal = request.signal && { signal: request.signal };
  const { topLevel, commonDir: project } = repository;
  const owner = request.owner === undefined ? {} : { owner: request.owner };
  const earlier = readRecord(locksDir, worktreePath);
  // What is collected is still the task's: its own step, run again, must not take it away before it is queued.
  const isOwn = request.owner !== undefined && earlier?.owner === request.owner;
  if (earlier?.state === 'ready' || (earlier?.state === 'collected' && isOwn)) {
    if (![mirror, project].includes(earlier.commonDir))
      throw inUse(worktreePath, `it is a worktree of ${earlier.topLevel}`);
    if (earlier.owner !== request.owner) throw inUse(worktreePath, `task ${earlier.owner ?? 'unknown'} has work in it`);
    refuseReplaced(earlier);
    const found = await withEntry(locksDir, earlier, request.signal);
    if (found === undefined)
      throw inUse(worktreePath, `it holds work on commit ${earlier.base}, which the project has not`);
    if (adopt(found)) return { state: 'found', worktreePath, base: earlier.base, warnings: [] };
  }
  const inTheWay = earlier === undefined ? occupant([mirror, project], worktreePath) : 'ours';
  if (inTheWay !== 'ours' && inTheWay !== 'nothing') throw inUse(worktreePath, inTheWay);
  const record: WorktreeRecord = { worktreePath, topLevel, commonDir: mirror, base, ...owner, state: 'making' };
  if (earlier === undefined && request.madeBefore && inTheWay === 'ours') {
    const found = [record, { ...record, commonDir: project }].find(adopt);
    if (found !== undefined) {
      writeRecord(locksDir, { ...found, state: 'ready', identity: identityOf(worktreePath) });
      return { state: 'found', worktreePath, base, warnings: [] };
    }
  }
  writeRecord(locksDir, record);
  if (inTheWay === 'ours') {
    for (const commonDir of new Set([earlier?.commonDir ?? project, mirror]))
      await clearWorktree({ locksDir, worktreePath, commonDir, ...signal });
  }
  const warnings = await makeOrRepair({ locksDir, repository, record, ...signal });
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
    const repository = await inspect(earlier.topLevel, { ...signal });
    const mirror = await ensureMirror({ locksDir, repository, ...signal });
    const record: WorktreeRecord = { ...rest, commonDir: mirror, base: request.base, state: 'making' };
    writeRecord(locksDir, record);
    for (const commonDir of new Set([earlier.commonDir, mirror]))
      await clearWorktree({ locksDir, worktreePath, commonDir, ...signal });
    return { warnings: await makeOrRepair({ locksDir, repository, record, ...signal }) };
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
function adopt({ worktreePath, commonDir, base }: WorktreeRecord): boolean {
  const entry = findEntry(commonDir, worktreePath);
  if (entry === undefined || ifThere(() => lstatSync(worktreePath))?.isDirectory() !== true) return false;
  const { adminDir } = entry;
  const dotGit = path.join(worktreePath, '.git');
  const isOwnRepository = ifThere(() => lstatSync(path.join(adminDir, GIVEN_REFS))) !== undefined;
  if (isOwnRepository) {
    if (!hasOwnRepository(worktreePath)) makeOwnRepository({ mirror: commonDir, worktreePath, adminDir, base });
    removeLocks(dotGit);
  } else if (ifThere(() => lstatSync(dotGit)) === undefined) writeFileSync(dotGit, `gitdir: ${adminDir}\n`);
  removeLocks(adminDir);
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
function occupant(owners: readonly string[], worktreePath: string): string {
  const entry = owners.map((commonDir) => findEntry(commonDir, worktreePath)).find((one) => one !== undefined);
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

/** A damaged mirror gets the project's objects anew, once. */
async function makeOrRepair(making: Making): Promise<string[]> {
  try {
    return await make(making);
  } catch (error) {
    if (!(error instanceof LonghaulError && error.code === 'git_failed' && DAMAGE.test(error.message))) throw error;
    const { locksDir, repository, record, signal: given } = making;
    const signal = given && { signal: given };
    await ensureMirror({ locksDir, repository, because: 'damaged', ...signal });
    await clearWorktree({ locksDir, worktreePath: record.worktreePath, commonDir: record.commonDir, ...signal });
    return make(making);
  }
}

/** What git says of objects that are missing or broken. */
const DAMAGE =
  /bad config|corrupt|missing|bad object|unable to read|could not read|not a valid|inflate|unable to parse|unknown object|Could not parse/i;

/** From nothing to ready. The mirror is locked while the entry is added only: checkouts run side by side. */
async function make({ locksDir, repository, record, signal: given }: Making): Promise<string[]> {
  const signal = given && { signal: given };
  const { worktreePath, base, commonDir: mirror } = record;
  const adminDir = await withLock({ locksDir, subject: mirror, ...signal }, () =>
    addEntry({ locksDir, mirror, worktreePath, base }),
  );
  const borrow = { mirror, worktreePath, adminDir, base };
  fillEntry(borrow, repository);
  const warnings = await checkOut({ worktreePath, adminDir, ...signal });
  makeOwnRepository(borrow);
  warnings.push(...(await populateSubmodules({ repository, worktreePath, ...signal })));
  writeRecord(locksDir, { ...record, state: 'ready', identity: identityOf(worktreePath) });
  return warnings;
}

/** Through the entry, so that its index is the one that the steps compare with, and what a partial clone fetches is in the mirror. */
async function checkOut({
  worktreePath,
  adminDir,
  signal,
}: {
  worktreePath: string;
  adminDir: string;
  signal?: AbortSignal;
}): Promise<string[]> {
  const env = { GIT_DIR: adminDir, GIT_WORK_TREE: worktreePath };
  const options = { cwd: worktreePath, env, settings: WHOLE_INDEX, ...(signal && { signal }) };
  const args = ['reset', '--quiet', '--hard', '--no-recurse-submodules'];
  const outcome = await tryGit(args, options);
  if (outcome.exitCode !== 0) {
    if (!/lfs/i.test(outcome.stderr)) throw gitError(args, worktreePath, outcome);
    await git(args, { ...options, settings: { ...WITHOUT_LFS, ...WHOLE_INDEX } });
    return ['git-lfs could not fetch all large files of this repository: the agent sees pointer files instead.'];
  }
  if (hasLfs() || !usesLfs(worktreePath)) return [];
  return [
    'This repository keeps large files with git-lfs, which is not installed: the agent sees pointer files instead.',
  ];
}

/** A copy of an index that is split into two files would lack one. */
const WHOLE_INDEX = { 'core.splitIndex': 'false' } as const;
