/**
 * Parks a session's worktree after a task, so that the session's next task begins in it without a checkout. The files
 * are those of the task's result, and ignored files (installed packages, build output) stay. The agent's own repository
 * is created again, so nothing that the agent did with git remains.
 *
 * What must never happen: work that is in no commit is removed; two tasks use one worktree (the record names the task
 * that owns it, and changes under the worktree's lock); a parked worktree that changed after it was parked is used. For
 * such a worktree the next task gets a new one. Cost: parking starts no git process. A task that begins from the commit
 * in the parked worktree starts none either. If a task begins from another commit, git writes the files that differ.
 */
import { createHash } from 'node:crypto';
import { lstatSync, readFileSync, renameSync, rmSync } from 'node:fs';
import path from 'node:path';
import { LonghaulError } from '../contract/errors.ts';
import { fillEntry, STARTING_REFS_FILE, hasOwnRepository, makeOwnRepository } from './borrow.ts';
import { nestedGitFolderOf, removeTree } from './clear.ts';
import { collectedIndex, collectLocked } from './collect.ts';
import { tryGit } from './git.ts';
import { whyReplaced } from './identity.ts';
import { keepIgnored } from './ignored-files.ts';
import { hasLfs } from './lfs.ts';
import { isMirror, readState } from './mirror.ts';
import { removeLocks } from './left-locks.ts';
import { type WorktreeRecord, readRecord, writeRecord } from './records.ts';
import { canonical, findEntry, orAbsentSync, type Repository } from './repository.ts';
import { withLock } from './repository-lock.ts';
import { writeWhole } from '../processes/whole-file.ts';

export interface ParkRequest {
  readonly worktreePath: string;
  /** The task whose files were collected. The worktree is parked only if it still belongs to this task. */
  readonly owner: string;
  readonly signal?: AbortSignal;
}

/** Parks the worktree. Returns false if the worktree cannot be parked; the caller then removes the worktree. */
export async function parkWorktree(locksDir: string, request: ParkRequest): Promise<boolean> {
  const worktreePath = canonical(request.worktreePath);
  const signal = request.signal && { signal: request.signal };
  return withLock({ locksDir, subject: worktreePath, ...signal }, async () => {
    const record = readRecord(locksDir, worktreePath);
    if (record?.owner !== request.owner) return false;
    if (record.state === 'parked') return true;
    const { commonDir: mirror, holds } = record;
    const adminDir = findEntry(mirror, worktreePath)?.adminDir;
    const state = readState(mirror);
    if (record.state !== 'collected' || holds === undefined || adminDir === undefined || state === undefined)
      return false;
    // Git keeps files that an agent wrote outside the cone of a sparse checkout, and the next task would find them.
    if (state.settings.sparse.length > 0 || !isIntact(locksDir, record, adminDir)) return false;
    const { holds: _, ...rest } = record;
    orAbsentSync(() => renameSync(collectedIndex(adminDir), path.join(adminDir, 'index')));
    const index = indexStamp(adminDir);
    if (index === undefined) return false;
    keepIgnored(adminDir);
    await removeTree(nestedGitFolderOf(worktreePath));
    await giveRepository({ mirror, worktreePath, adminDir, base: holds });
    const parked = { since: Date.now(), index, refs: state.refs, rules: rulesOf(mirror) };
    writeRecord(locksDir, { ...rest, base: holds, state: 'parked', parked });
    return true;
  });
}

/** Creates the worktree's own repository again, with the refs and settings that the mirror has now. */
async function giveRepository(borrow: Parameters<typeof makeOwnRepository>[0]): Promise<void> {
  const { mirror, worktreePath, adminDir, base } = borrow;
  removeLocks(adminDir);
  writeWhole(path.join(adminDir, 'HEAD'), `${base}\n`);
  await removeTree(path.join(worktreePath, '.git'));
  const commonDir = readState(mirror)?.commonDir ?? mirror;
  fillEntry(borrow, { topLevel: path.dirname(commonDir), commonDir });
  makeOwnRepository(borrow);
}

/** Returns whether the folder and its entry are those that Longhaul created. */
export const isIntact = (locksDir: string, record: WorktreeRecord, adminDir: string): boolean =>
  isMirror(locksDir, record.commonDir) &&
  record.isCopy !== true &&
  orAbsentSync(() => lstatSync(record.worktreePath))?.isDirectory() === true &&
  whyReplaced(record, adminDir) === undefined &&
  orAbsentSync(() => lstatSync(path.join(adminDir, STARTING_REFS_FILE))) !== undefined;

function indexStamp(adminDir: string): string | undefined {
  const status = orAbsentSync(() => lstatSync(path.join(adminDir, 'index'), { bigint: true }));
  return status && `${status.ino}:${status.size}:${status.mtimeNs}`;
}

/**
 * Returns a hash of the settings and attributes by which git writes the files of a commit, and of the patterns of
 * ignored files.
 */
function rulesOf(mirror: string): string {
  const hash = createHash('sha256').update(JSON.stringify([readState(mirror)?.settings.list, hasLfs()]));
  for (const name of ['info/attributes', 'info/exclude'])
    hash.update(orAbsentSync(() => readFileSync(path.join(mirror, name))) ?? '').update('\0');
  return hash.digest('hex');
}

export interface Unpark {
  readonly locksDir: string;
  readonly repository: Repository;
  /** The path of the mirror. The caller has updated the mirror from the project. */
  readonly mirror: string;
  readonly record: WorktreeRecord;
  readonly base: string;
  readonly owner: string | undefined;
  readonly signal?: AbortSignal;
}

/**
 * Gives a parked worktree to a task, with the files of `base`. Returns undefined if the worktree cannot be used; the
 * caller then creates a new one. If the process is killed during the call, the record keeps the state `making`, and the
 * next execution of the step creates a new worktree. The caller holds the worktree's lock.
 */
export async function unpark(request: Unpark): Promise<{ warnings: string[] } | undefined> {
  const { locksDir, mirror, record, base, owner } = request;
  const { worktreePath, parked } = record;
  const adminDir = findEntry(mirror, worktreePath)?.adminDir;
  const state = readState(mirror);
  if (parked === undefined || adminDir === undefined || state === undefined) return undefined;
  if (record.commonDir !== mirror || !isIntact(locksDir, record, adminDir)) return undefined;
  const isDamaged = parked.index !== indexStamp(adminDir);
  // The index may be wrong. Without an index git compares the content of every file.
  if (isDamaged) rmSync(path.join(adminDir, 'index'), { force: true });
  const isUsable = !isDamaged && state.settings.sparse.length === 0 && parked.rules === rulesOf(mirror);
  const warnings = base === record.base && isUsable ? [] : await storeEdits(request, adminDir);
  if (!isUsable) return undefined;
  const { parked: _, owner: _former, ...rest } = record;
  const next = { ...rest, base, ...(owner !== undefined && { owner }) };
  if (base !== record.base) {
    writeRecord(locksDir, { ...next, state: 'making' });
    if (!(await moveTo(request, adminDir))) return undefined;
  }
  if (base !== record.base || state.refs !== parked.refs || !hasOwnRepository(worktreePath))
    await giveRepository({ mirror, worktreePath, adminDir, base });
  writeRecord(locksDir, { ...next, state: 'ready' });
  return { warnings };
}

/**
 * Makes the worktree's files equal to those of `base`. Ignored files stay. Files that `base` no longer ignores are
 * removed, because they are not the work of a task. Returns false if git fails or `base` has submodules.
 */
async function moveTo({ record, base, signal }: Unpark, adminDir: string): Promise<boolean> {
  const options = atEntry(record.worktreePath, adminDir, signal);
  const settings = { 'core.splitIndex': 'false' };
  const args = ['reset', '--quiet', '--hard', '--no-recurse-submodules', base];
  if ((await tryGit(args, { ...options, settings })).exitCode !== 0) return false;
  if (orAbsentSync(() => lstatSync(path.join(record.worktreePath, '.gitmodules'))) !== undefined) return false;
  return (await tryGit(['clean', '-ffd', '--quiet'], options)).exitCode === 0;
}

/**
 * Stores the edits that a user made by hand in a parked worktree, before git overwrites the files. Returns the
 * warnings.
 */
async function storeEdits({ locksDir, record, signal }: Unpark, adminDir: string): Promise<string[]> {
  const options = atEntry(record.worktreePath, adminDir, signal);
  const status = await tryGit(['status', '--porcelain', '-z', '--no-renames', '--untracked-files=normal'], options);
  if (status.exitCode === 0 && status.stdout.length === 0) return [];
  const stored = await storeLeft(locksDir, record, signal);
  if (stored !== undefined) return stored;
  throw new LonghaulError(
    'worktree_in_use',
    `The session's parked worktree ${record.worktreePath} has edits that git cannot store. Nothing in it was changed. Move them away, and try again.`,
  );
}

const atEntry = (cwd: string, adminDir: string, signal: AbortSignal | undefined) => ({
  cwd,
  env: { GIT_DIR: adminDir, GIT_WORK_TREE: cwd },
  ...(signal && { signal }),
});

/** Returns the name of the ref that stores edits which were left in a worktree and are in no commit. */
export const leftRef = (owner: string | undefined, worktreePath: string): string =>
  `refs/longhaul/left/${owner ?? path.basename(worktreePath).replace(/[^\w-]/g, '-')}`;

/**
 * Stores the edits that a user made by hand in a parked worktree. Returns a warning, or an empty list if there are
 * none. Returns undefined if they cannot be stored. The caller holds the worktree's lock.
 */
export async function storeLeft(
  locksDir: string,
  record: WorktreeRecord,
  signal: AbortSignal | undefined,
): Promise<string[] | undefined> {
  const { worktreePath, base, owner, commonDir: cwd } = record;
  // The user may have removed the base, a result, from the mirror. Then the files cannot be compared with it.
  const known = await tryGit(['cat-file', '-e', `${base}^{commit}`], { cwd, ...(signal && { signal }) });
  if (known.exitCode !== 0) return [];
  const ref = leftRef(owner, worktreePath);
  const request = { worktreePath, base, ref, message: 'Edits by hand in a parked worktree', ...(signal && { signal }) };
  const stored = await collectLocked(locksDir, request);
  if (stored.kind === 'kept') return undefined;
  writeRecord(locksDir, record);
  if (stored.kind === 'none') return [];
  return [`Edits that were made by hand in the session's parked worktree are stored as ${ref} in the mirror.`];
}
