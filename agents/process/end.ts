/**
 * Ends the processes that an agent left: first its process group; then every process with the task's marker in its
 * environment, because agents' shell tools run in process groups of their own; and the descendants of all these,
 * because an agent may start a tool with an empty environment.
 *
 * Never signalled: this process; a pid whose start time differs from the recorded one; and a process of another home,
 * because a copy of a home has the same tasks, and its rows name the same processes.
 * Not covered: see processes/sweep.ts.
 */
import { readEnvironment } from '../../processes/environment.ts';
import type { ProcessIdentity } from '../../processes/identity.ts';
import { endProcessGroup } from '../../processes/end.ts';
import { endAndFindDescendants, findByMark, type Mark, sweep } from '../../processes/sweep.ts';
import type { TaskId } from '../../contract/ids.ts';
import { LonghaulError } from '../../contract/errors.ts';
import { belongsTo, TASK_MARKER, SPAWN_MARKER } from './environment.ts';

/** Time between SIGTERM and SIGKILL. */
export const TERM_GRACE_MS = 2_000;

/**
 * Throws on a system without /proc, because there a sweep cannot read the environments of other processes and finds
 * nothing.
 */
export function requireProcFs(): void {
  if (process.platform === 'linux') return;
  throw new LonghaulError(
    'not_supported_yet',
    `Longhaul runs agents on Linux only, because it finds the processes that they leave in /proc. This machine runs ${process.platform}.`,
  );
}

/** Returns the mark of a task's processes. If `home` is `undefined`, the mark matches the processes of all homes. */
function markOf(taskId: TaskId, home: string | undefined): Mark {
  const entry = `${TASK_MARKER}=${taskId}`;
  if (home === undefined) return entry;
  return { entry, spares: (environment) => belongsTo(home, environment) === 'another_home' };
}

/** Returns the environment entry that all processes of one start of an agent have, and no other processes. */
export const spawnMarkOf = (spawnId: string): string => `${SPAWN_MARKER}=${spawnId}`;

/** Returns the running processes of any home that carry the task's marker, except this process. */
export function findMarked(taskId: TaskId): ProcessIdentity[] {
  return findByMark([markOf(taskId, undefined)]);
}

interface EndTask {
  /** Real path of the home that the task belongs to. If it is omitted, processes of all homes are ended. */
  readonly home?: string | undefined;
  /** The agent's process, if it is known. */
  readonly leader?: ProcessIdentity | undefined;
}

/**
 * Ends the processes that one spawn left. The agent of a later attempt at the same task keeps running. Returns how many
 * processes could not be ended.
 */
export async function sweepSpawn(spawnId: string, known: readonly ProcessIdentity[] = []): Promise<number> {
  return sweep([spawnMarkOf(spawnId)], known);
}

/**
 * Ends the processes that an attempt at the task left: the group and the descendants of the leader, if it is known, and
 * then all processes with the task's marker. Returns how many processes could not be ended.
 */
export async function endTaskProcesses(taskId: TaskId, { home, leader }: EndTask = {}): Promise<number> {
  const marks = [markOf(taskId, home)];
  if (leader === undefined || isOfAnotherHome(leader, home)) return sweep(marks);
  return sweep(marks, await endAndFindDescendants(leader, () => endProcessGroup(leader, TERM_GRACE_MS)));
}

function isOfAnotherHome({ pid }: ProcessIdentity, home: string | undefined): boolean {
  const environment = home === undefined ? undefined : readEnvironment(pid);
  return home !== undefined && environment !== undefined && belongsTo(home, environment) === 'another_home';
}
