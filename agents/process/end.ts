/**
 * Ends the processes that an agent left: first its process group; then every process with the task's marker in its
 * environment, because agents' shell tools run in process groups of their own; and the descendants of all these, because an
 * agent may start a tool with an empty environment.
 *
 * Never signalled: this process; a pid whose start time differs from the recorded one; and a process of another home, because
 * a copy of a home has the same tasks, and its rows name the same processes.
 * Not covered: see processes/sweep.ts.
 */
import { readEnvironment } from '../../processes/environment.ts';
import type { ProcessIdentity } from '../../processes/identity.ts';
import { endProcessGroup } from '../../processes/end.ts';
import { familyDuring, findByMark, type Mark, sweep } from '../../processes/sweep.ts';
import type { TaskId } from '../../contract/ids.ts';
import { LonghaulError } from '../../contract/errors.ts';
import { belongsTo, MARKER, SPAWN_MARKER } from './environment.ts';

/** Between SIGTERM and SIGKILL. */
export const TERM_GRACE_MS = 2_000;

/** Fails on a system without /proc: the environments of other processes cannot be read there, so a sweep finds nothing. */
export function requireProc(): void {
  if (process.platform === 'linux') return;
  throw new LonghaulError(
    'not_supported_yet',
    `Longhaul runs agents on Linux only, because it finds the processes that they leave in /proc. This machine runs ${process.platform}.`,
  );
}

/** `home` undefined: the mark matches processes of all homes. */
function markOf(taskId: TaskId, home: string | undefined): Mark {
  const entry = `${MARKER}=${taskId}`;
  if (home === undefined) return entry;
  return { entry, spares: (environment) => belongsTo(home, environment) === 'another_home' };
}

/** The environment entry of all processes that come from one start of an agent, and of no others. */
export const spawnMarkOf = (spawnId: string): string => `${SPAWN_MARKER}=${spawnId}`;

/** The running processes of any home that carry the task's marker, without this process. */
export function findMarked(taskId: TaskId): ProcessIdentity[] {
  return findByMark([markOf(taskId, undefined)]);
}

interface EndTask {
  /** Real path of the home that the task belongs to. Default: processes of all homes are ended. */
  readonly home?: string | undefined;
  /** The agent, if it is known. */
  readonly leader?: ProcessIdentity | undefined;
}

/** Ends the processes that one spawn left. Spares the agent of a later attempt at the same task. */
export async function sweepSpawn(spawnId: string, known: readonly ProcessIdentity[] = []): Promise<number> {
  return sweep([spawnMarkOf(spawnId)], known);
}

/**
 * Ends the processes that an attempt at the task left: the group and the descendants of the leader, if it is known, then
 * all processes with the task's marker. Returns how many could not be ended.
 */
export async function endTask(taskId: TaskId, { home, leader }: EndTask = {}): Promise<number> {
  const marks = [markOf(taskId, home)];
  if (leader === undefined || isOfAnotherHome(leader, home)) return sweep(marks);
  return sweep(marks, await familyDuring(leader, () => endProcessGroup(leader, TERM_GRACE_MS)));
}

function isOfAnotherHome({ pid }: ProcessIdentity, home: string | undefined): boolean {
  const environment = home === undefined ? undefined : readEnvironment(pid);
  return home !== undefined && environment !== undefined && belongsTo(home, environment) === 'another_home';
}
