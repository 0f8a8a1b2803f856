/**
 * Ending what an agent left: first its process group, then every process that carries the task's
 * marker in its environment, since agents' shell tools run in process groups of their own.
 *
 * Never signalled: this process, and a pid whose start time is not the one that was recorded.
 * Not covered: a process that was started with an empty environment or overwrote it, and that has left
 * the agent's process group.
 */
import { readdirSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { identify, isAlive, type ProcessIdentity, readProc } from '../../processes/identity.ts';
import type { TaskId } from '../../workflows/contract.ts';
import { isErrno, LonghaulError } from '../../workflows/errors.ts';
import { MARKER, SPAWN_MARKER } from './environment.ts';

/** Between SIGTERM and SIGKILL. */
const TERM_GRACE_MS = 2_000;
/** After SIGKILL a process is gone within milliseconds, unless it hangs in the kernel (a dead network disk). */
const KILL_BOUND_MS = 5_000;
const POLL_MS = 10;

/** Fails where the environments of other processes cannot be read, so that nothing could be swept. */
export function requireProc(): void {
  if (process.platform === 'linux') return;
  throw new LonghaulError(
    'not_supported_yet',
    `Running agents needs /proc to find what they leave running, so Linux; this is ${process.platform}.`,
  );
}

/** False if there is nobody to signal, or if it is somebody else's. */
function signal(target: number, name: NodeJS.Signals | 0): boolean {
  try {
    process.kill(target, name);
    return true;
  } catch (error) {
    if (isErrno(error, 'ESRCH', 'EPERM')) return false;
    throw error;
  }
}

/** SIGKILL to a process group that the caller knows to be its own, as of now. */
function killGroup(leaderPid: number): void {
  signal(-leaderPid, 'SIGKILL');
}

/** SIGTERM to the group; false if its leader is gone or is another process by now. */
export function terminateGroup(leader: ProcessIdentity): boolean {
  return isAlive(leader) && signal(-leader.pid, 'SIGTERM');
}

async function until(condition: () => boolean, boundMs: number): Promise<boolean> {
  const deadline = performance.now() + boundMs;
  while (!condition()) {
    if (performance.now() > deadline) return false;
    await sleep(POLL_MS);
  }
  return true;
}

/**
 * Ends the group that this process leads: SIGTERM, a short wait, SIGKILL. Does nothing if the identity no
 * longer matches, members of the group included: the sweep for the marker finds those.
 */
export async function endProcessGroup(leader: ProcessIdentity, graceMs: number = TERM_GRACE_MS): Promise<void> {
  if (!terminateGroup(leader)) return;
  await until(() => !isAlive(leader), graceMs);
  // The group id cannot have been given to others in the moment since: pids are handed out in turn.
  killGroup(leader.pid);
  await until(() => !isAlive(leader), KILL_BOUND_MS);
}

/** Whether the environment (NUL-separated) has exactly this entry. */
function hasEntry(environ: Buffer, entry: Buffer): boolean {
  for (let at = environ.indexOf(entry); at !== -1; at = environ.indexOf(entry, at + 1)) {
    const end = at + entry.length;
    if ((at === 0 || environ[at - 1] === 0) && (end === environ.length || environ[end] === 0)) return true;
  }
  return false;
}

/** The running processes whose environment has this entry, this one excepted. */
function findByEntry(entry: Buffer): ProcessIdentity[] {
  const found: ProcessIdentity[] = [];
  for (const name of readdirSync('/proc')) {
    const pid = Number(name);
    if (!Number.isInteger(pid) || pid === process.pid) continue;
    const environ = readProc(`/proc/${name}/environ`); // of a zombie: empty
    if (environ === undefined || !hasEntry(environ, entry)) continue;
    const identity = identify(pid);
    if (identity !== undefined) found.push(identity);
  }
  return found;
}

async function sweep(entry: Buffer): Promise<number> {
  const deadline = performance.now() + KILL_BOUND_MS;
  for (;;) {
    const found = findByEntry(entry);
    if (found.length === 0 || performance.now() > deadline) return found.length;
    for (const identity of found) if (isAlive(identity)) signal(identity.pid, 'SIGKILL');
    await sleep(POLL_MS);
  }
}

const markerOf = (taskId: TaskId): Buffer => Buffer.from(`${MARKER}=${taskId}`);

/** The running processes that carry the task's marker, this one excepted. */
export function findMarked(taskId: TaskId): ProcessIdentity[] {
  return findByEntry(markerOf(taskId));
}

/**
 * SIGKILL to everything that carries the task's marker, again until none is left, since one may fork between
 * look and kill. Answers how many could not be ended within the bound (5 s).
 */
export async function sweepMarker(taskId: TaskId): Promise<number> {
  return sweep(markerOf(taskId));
}

/** The same for what one spawn left; spares the agent of a later attempt at the same task. */
export async function sweepSpawn(spawnId: string): Promise<number> {
  return sweep(Buffer.from(`${SPAWN_MARKER}=${spawnId}`));
}

/** Ends whatever an attempt at the task left: the group of the given leader, if known, then everything marked. */
export async function endTask(taskId: TaskId, leader?: ProcessIdentity): Promise<number> {
  if (leader !== undefined) await endProcessGroup(leader);
  return sweepMarker(taskId);
}
