/**
 * Locks that serialize work on one repository or worktree: a queue within this process, and a lock file between
 * processes. Git's own locks make concurrent commands on a repository fail; with this lock the commands wait.
 *
 * What must never happen: two holders at once, also while several processes find the same dead holder; a lock that
 * remains permanently after its holder died; a file of ours in the user's repository. A lock file appears with its
 * content in one step (link). A lock file is removed only by its holder, or by the process that holds the takeover lock
 * for exactly that holder. Not covered: a home on a file system without hard links.
 *
 * The lock files are written synchronously, about 20 µs each. The thread pool takes ten times as long, and each step
 * takes two locks.
 */
import { createHash, randomUUID } from 'node:crypto';
import { linkSync, mkdirSync, unlinkSync, writeFileSync } from 'node:fs';
import { readFile, readdir, rm, stat, unlink } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import { isErrno, LonghaulError } from '../contract/errors.ts';
import { processIdentitySchema } from '../processes/process-files.ts';
import { endOrphanedGitProcesses, ownIdentity, ownerState } from './git-owner.ts';
import { pause } from './pause.ts';
import { deferred } from '../contract/promises.ts';

export interface LockOptions {
  /** The folder of the lock files. It is created if missing, and must not be in a user's repository. */
  readonly locksDir: string;
  /** Names what is locked, readable for people. The lock file's name is a hash of this text. */
  readonly subject: string;
  readonly signal?: AbortSignal;
  /** How long to wait for the lock before `repository_locked` is thrown. Default 10 minutes. */
  readonly deadlineMs?: number;
}

const DEFAULT_DEADLINE_MS = 10 * 60_000;
const POLL_MS = { first: 3, longest: 50 } as const;
const RELEASE_MS = 10_000;
/**
 * A holder in another container cannot be checked. After this time such a holder counts as dead, because no step takes
 * this long.
 */
const UNKNOWN_HOLDER_MS = 20 * 60_000;

const holderSchema = processIdentitySchema.extend({
  token: z.string(),
  subject: z.string(),
  pidNamespace: z.string(),
  text: z.string(),
});
type Holder = z.infer<typeof holderSchema>;

/** For each lock file the end of its queue: a promise that is fulfilled when the last waiting caller has finished. */
const queues = new Map<string, Promise<void>>();

/** Returns the name of a subject's lock file, without its extension. */
export const lockFileName = (subject: string): string =>
  createHash('sha256').update(subject).digest('hex').slice(0, 32);

/**
 * Runs `work` under the lock of the subject: no other caller, in this or another process, runs its `work` for the same
 * subject meanwhile.
 */
export async function withLock<T>(options: LockOptions, work: () => Promise<T>): Promise<T> {
  const file = path.join(options.locksDir, `${lockFileName(options.subject)}.lock`);
  const deadline = performance.now() + (options.deadlineMs ?? DEFAULT_DEADLINE_MS);
  const before = queues.get(file);
  const { promise: turn, resolve: endTurn } = deferred();
  const mine = (before ?? Promise.resolve()).then(() => turn);
  queues.set(file, mine);
  try {
    await waitFor(before, deadline, options);
    await acquire(file, deadline, options);
    try {
      return await work();
    } finally {
      unlinkSync(file);
    }
  } finally {
    endTurn();
    if (queues.get(file) === mine) queues.delete(file);
  }
}

async function waitFor(before: Promise<void> | undefined, deadline: number, options: LockOptions): Promise<void> {
  options.signal?.throwIfAborted();
  if (before === undefined) return;
  const freed = new AbortController();
  const patience = sleep(deadline - performance.now(), 'out of time' as const, {
    signal: options.signal === undefined ? freed.signal : AbortSignal.any([freed.signal, options.signal]),
  });
  try {
    if ((await Promise.race([before, patience])) === 'out of time') throw lockedBy(options, 'an earlier step');
  } catch (error) {
    options.signal?.throwIfAborted();
    throw error;
  } finally {
    patience.catch(() => undefined);
    freed.abort();
  }
}

async function acquire(file: string, deadline: number, options: LockOptions): Promise<void> {
  mkdirSync(options.locksDir, { recursive: true, mode: 0o700 });
  let pauseMs: number = POLL_MS.first;
  while (!place(file, options.subject)) {
    const found = await readHolder(file);
    if (found === undefined) continue;
    if (await isStale(file, found)) {
      await takeOver(file, found, deadline, options);
      continue;
    }
    if (performance.now() + pauseMs > deadline) throw lockedBy(options, `process ${found.pid} (lock file ${file})`);
    await pause(pauseMs * (0.5 + Math.random()), options.signal);
    pauseMs = Math.min(pauseMs * 2, POLL_MS.longest);
  }
}

/** Tries to create the lock file. Returns false if the lock is held. */
function place(file: string, subject: string): boolean {
  const draft = `${file}.${randomUUID()}.new`;
  const holder: Holder = { token: randomUUID(), subject, ...ownIdentity() };
  writeFileSync(draft, JSON.stringify(holder), { flag: 'wx', mode: 0o600 });
  try {
    linkSync(draft, file);
    return true;
  } catch (error) {
    if (isErrno(error, 'EEXIST')) return false;
    throw error;
  } finally {
    unlinkSync(draft);
  }
}

/**
 * Returns the holder; undefined if the lock is free. An unreadable file, left by a power cut, counts as the file of a
 * dead holder.
 */
async function readHolder(file: string): Promise<Holder | undefined> {
  try {
    const text = await readFile(file, 'utf8');
    const parsed = holderSchema.safeParse(text === '' ? undefined : parseJson(text));
    if (parsed.success) return parsed.data;
    const { ino } = await stat(file);
    return { token: `unreadable-${ino}`, subject: '', pid: 0, startTime: '', bootId: '', pidNamespace: '', text: '' };
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return undefined;
    throw error;
  }
}

async function isStale(file: string, holder: Holder): Promise<boolean> {
  const state = ownerState(holder);
  if (state !== 'unknown') return state === 'dead';
  const { mtimeMs } = await stat(file).catch(() => ({ mtimeMs: Date.now() }));
  return Date.now() - mtimeMs > UNKNOWN_HOLDER_MS;
}

/**
 * Removes the lock of a dead holder. Meanwhile this process holds a second lock, named after the dead holder's token. A
 * slower process that saw the same dead holder waits for that second lock, then finds another holder in the file and
 * does not remove it.
 */
async function takeOver(file: string, dead: Holder, deadline: number, options: LockOptions): Promise<void> {
  const takeover = `${file}.${dead.token}`;
  await acquire(takeover, deadline, options);
  try {
    const now = await readHolder(file);
    if (now?.token !== dead.token) return;
    // A git process of the dead holder may still be writing.
    if (dead.text !== '') await endOrphanedGitProcesses(dead.text);
    await unlink(file);
    await sweepDrafts(options.locksDir);
  } finally {
    await unlink(takeover);
  }
}

/** Lists lock files of dead holders. They do no harm: the next caller that needs such a lock takes it over. */
export async function staleLocks(locksDir: string): Promise<string[]> {
  const stale: string[] = [];
  for (const name of (await orNone(readdir(locksDir))).filter(
    (one) => one.includes('.lock') && !one.endsWith('.new'),
  )) {
    const file = path.join(locksDir, name);
    const holder = await readHolder(file);
    if (holder !== undefined && (await isStale(file, holder))) stale.push(file);
  }
  return stale;
}

/**
 * Takes over the lock of a dead holder, ends the git processes that the holder left, and releases the lock. Does
 * nothing if another process has already done so.
 */
export async function releaseStale(locksDir: string, file: string): Promise<void> {
  const holder = await readHolder(file);
  if (holder === undefined || !(await isStale(file, holder))) return;
  const deadline = performance.now() + RELEASE_MS;
  await takeOver(file, holder, deadline, { locksDir, subject: holder.subject || file });
}

async function orNone(reading: Promise<string[]>): Promise<string[]> {
  try {
    return await reading;
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return [];
    throw error;
  }
}

/** Removes temporary files of killed processes. Such a file exists for a moment only, so an old one is a remainder. */
async function sweepDrafts(locksDir: string): Promise<void> {
  for (const name of (await readdir(locksDir)).filter((name) => name.endsWith('.new'))) {
    const draft = path.join(locksDir, name);
    const { mtimeMs } = await stat(draft).catch(() => ({ mtimeMs: Date.now() }));
    if (Date.now() - mtimeMs > 60_000) await rm(draft, { force: true });
  }
}

function lockedBy(options: LockOptions, holder: string): LonghaulError {
  return new LonghaulError(
    'repository_locked',
    `${options.subject} is busy: ${holder} works on it. Try again in a moment.`,
  );
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
