/**
 * Creates the worktree of a task. If an earlier execution of the same step created the worktree, that worktree is
 * returned instead. `resetWorktree` creates it again.
 *
 * What must never happen: a folder that Longhaul did not create is changed; an incomplete worktree counts as complete;
 * anything in the project changes. Git processes: 1 (reset) for a new worktree or a reset, none for an existing one;
 * one more (rev-parse) for a given base or an unusual repository, one more (config) if the project's settings have
 * changed, and 6 for each submodule.
 */
import { lstatSync, mkdirSync, readdirSync, realpathSync } from 'node:fs';
import path from 'node:path';
import { LonghaulError } from '../contract/errors.ts';
import { addEntry } from './add-entry.ts';
import { fillEntry, STARTING_REFS_FILE, hasOwnRepository, makeOwnRepository } from './borrow.ts';
import { checkOut } from './check-out.ts';
import { clearWorktree } from './clear.ts';
import { type GitOutcome, tryGit, WITHOUT_NETWORK } from './git.ts';
import { restoreFormerLink } from './former.ts';
import { identityOf, replacedError, whyReplaced } from './identity.ts';
import { ensureMirror } from './mirror.ts';
import { type WorktreeRecord, readRecord, writeRecord } from './records.ts';
import { type Repository, canonical, findEntry, orAbsentSync, inspect, isOurs } from './repository.ts';
import { withLock } from './repository-lock.ts';
import { ensureEntry } from './restore-entry.ts';
import { removeLocks } from './left-locks.ts';
import { unpark } from './park.ts';
import { populateSubmodules } from './submodules.ts';

export interface CreateRequest {
  readonly projectPath: string;
  /** The path of the worktree, absolute. Missing parent folders are created. */
  readonly worktreePath: string;
  /** Commit to start from; default: the commit of the project's checkout. */
  readonly base?: string;
  /**
   * The task that owns the worktree. An existing worktree of another owner is refused. Default: the owner is not
   * checked.
   */
  readonly owner?: string;
  /**
   * True if the task's row says that the worktree was created before. A power cut may lose the worktree's record but
   * not its files.
   */
  readonly madeBefore?: boolean;
  readonly signal?: AbortSignal;
}

export interface MadeWorktree {
  /**
   * `created`: the worktree is new. `found`: an earlier execution of the step created the worktree, which is returned
   * unchanged, with the agent's edits. `parked`: it is the session's parked worktree, with the files of the base and
   * the ignored files of earlier tasks.
   */
  readonly state: 'created' | 'found' | 'parked';
  /** Real path of the worktree's folder. */
  readonly worktreePath: string;
  /**
   * Full id of the base commit. For a worktree that was found, this is the commit from which the worktree was created.
   */
  readonly base: string;
  /** Warnings for the user who submitted the task. */
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

/** Returns the full id of a commit of the project or of a task's result. */
async function findBase({
  locksDir,
  repository,
  mirror,
  request,
}: Omit<Target, 'base' | 'worktreePath'>): Promise<string> {
  const { base: rev = 'HEAD' } = request;
  const signal = request.signal && { signal: request.signal };
  if (!/^\w[\w./-]*$/.test(rev)) throw new LonghaulError('invalid_input', `Expected a commit's id, found ${rev}.`);
  const waiting = readRecord(locksDir, canonical(request.worktreePath));
  if (waiting?.state === 'parked' && waiting.base === rev && waiting.commonDir === mirror) return rev;
  const find = (): Promise<GitOutcome> =>
    tryGit(['rev-parse', '--verify', '--quiet', `${rev}^{commit}`], { cwd: mirror, env: WITHOUT_NETWORK, ...signal });
  let found = await find();
  if (found.exitCode !== 0) {
    await ensureMirror({ locksDir, repository, because: 'missing', ...signal });
    found = await find();
  }
  if (found.exitCode === 0) return found.stdout.toString('utf8').trimEnd();
  throw new LonghaulError('git_failed', `The repository in ${repository.topLevel} has no commit ${rev}.`);
}

/** Returns the path with all links in its parents resolved, because git records a worktree by this path. */
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
  // A collected worktree still belongs to its task. If that task's own step runs again, it must not remove the worktree
  // before the change is queued.
  const isOwn = request.owner !== undefined && earlier?.owner === request.owner;
  if (earlier?.state === 'ready' || (earlier?.state === 'collected' && isOwn)) {
    if (![mirror, project].includes(earlier.commonDir))
      throw inUse(worktreePath, `it is a worktree of ${earlier.topLevel}`);
    if (earlier.owner !== request.owner)
      throw inUse(worktreePath, `task ${earlier.owner ?? 'unknown'} has edits in it`);
    refuseReplaced(earlier);
    const found = await ensureEntry(locksDir, earlier, request.signal);
    if (found === undefined)
      throw inUse(worktreePath, `it contains work on commit ${earlier.base}, which the project does not have`);
    if (adopt(found)) return { state: 'found', worktreePath, base: earlier.base, warnings: [] };
  }
  if (earlier?.state === 'parked') {
    const parked = { locksDir, repository, mirror, record: earlier, base, owner: request.owner, ...signal };
    const found = await unpark(parked);
    if (found !== undefined) return { state: 'parked', worktreePath, base, ...found };
    refuseReplaced(earlier);
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
 * Resets a worktree to its base, byte for byte, whatever the agent did in the worktree or with git, by creating the
 * worktree again at the same path. If the process is killed, the next reset or create completes the reset.
 */
export async function resetWorktree(locksDir: string, request: ResetRequest): Promise<{ warnings: string[] }> {
  const worktreePath = canonical(request.worktreePath);
  const signal = request.signal && { signal: request.signal };
  return withLock({ locksDir, subject: worktreePath, ...signal }, async () => {
    const earlier = readRecord(locksDir, worktreePath);
    if (earlier === undefined) throw inUse(worktreePath, 'it is no worktree that was made here');
    refuseReplaced(earlier);
    // The new folder has another identity, so the old identity is left out of the record.
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

/** Throws `worktree_replaced` if the folder at the worktree's path is not the folder that was created there. */
export function refuseReplaced(record: WorktreeRecord): void {
  const why = whyReplaced(record, findEntry(record.commonDir, record.worktreePath)?.adminDir);
  if (why !== undefined) throw replacedError(why);
}

/**
 * Returns whether git knows the worktree and its folder exists. If so, this function repairs what the agent's exited
 * programs left: a missing `.git` file, lock files of a killed git.
 */
function adopt({ worktreePath, commonDir, base }: WorktreeRecord): boolean {
  const entry = findEntry(commonDir, worktreePath);
  if (entry === undefined || orAbsentSync(() => lstatSync(worktreePath))?.isDirectory() !== true) return false;
  const { adminDir } = entry;
  const isOwnRepository = orAbsentSync(() => lstatSync(path.join(adminDir, STARTING_REFS_FILE))) !== undefined;
  if (isOwnRepository) {
    if (!hasOwnRepository(worktreePath)) makeOwnRepository({ mirror: commonDir, worktreePath, adminDir, base });
    removeLocks(path.join(worktreePath, '.git'));
  } else restoreFormerLink(worktreePath, adminDir);
  removeLocks(adminDir);
  return true;
}

/** Describes what occupies a path that has no record: `ours`, `nothing`, or the reason why the worktree is not ours. */
function occupant(owners: readonly string[], worktreePath: string): string {
  const entry = owners.map((commonDir) => findEntry(commonDir, worktreePath)).find((one) => one !== undefined);
  if (entry !== undefined) return isOurs(entry) ? 'ours' : 'git lists it as a worktree that Longhaul did not create';
  const status = orAbsentSync(() => lstatSync(worktreePath));
  if (status === undefined) return 'nothing';
  if (!status.isDirectory()) return 'a file is there';
  return readdirSync(worktreePath).length === 0 ? 'nothing' : 'a folder with files is there';
}

function inUse(worktreePath: string, why: string): LonghaulError {
  const what = `The worktree's path ${worktreePath} is in use: ${why}. Nothing in it was changed.`;
  return new LonghaulError('worktree_in_use', `${what} Move it away or remove it, and try again.`);
}

/**
 * Creates the worktree. If that fails because the mirror is damaged, this function links the project's objects again
 * and retries once.
 */
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

/** Matches git's messages about missing or broken objects. */
const DAMAGE =
  /bad config|corrupt|missing|bad object|unable to read|could not read|not a valid|inflate|unable to parse|unknown object|Could not parse/i;

/**
 * Creates the whole worktree. The mirror is locked only while the entry is added, so that several checkouts can run at
 * the same time.
 */
async function make({ locksDir, repository, record, signal: given }: Making): Promise<string[]> {
  const signal = given && { signal: given };
  const { worktreePath, base, commonDir: mirror } = record;
  const adminDir = await withLock({ locksDir, subject: mirror, ...signal }, () =>
    addEntry({ mirror, worktreePath, base }),
  );
  const borrow = { mirror, worktreePath, adminDir, base };
  fillEntry(borrow, repository);
  const warnings = await checkOut({ mirror, worktreePath, adminDir, ...signal });
  makeOwnRepository(borrow);
  warnings.push(...(await populateSubmodules({ repository, worktreePath, ...signal })));
  writeRecord(locksDir, { ...record, state: 'ready', identity: identityOf(worktreePath) });
  return warnings;
}
