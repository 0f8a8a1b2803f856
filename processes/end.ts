/**
 * Signals to processes and process groups, and waits until they are gone.
 *
 * Never: a signal to a process whose identity was not checked just before.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { isErrno, LonghaulError } from '../contract/errors.ts';
import { isAlive, isSuspended, type ProcessIdentity } from './identity.ts';

const POLL_MS = 10;
/** After SIGKILL a process is gone within milliseconds, unless it hangs in the kernel (a dead network disk). */
export const KILL_BOUND_MS = 5_000;

/** Returns false if the process is gone. Fails (EPERM) if it belongs to another user. */
export function sendSignal(pid: number, signal: NodeJS.Signals): boolean {
  try {
    process.kill(pid, signal);
    return true;
  } catch (error) {
    if (isErrno(error, 'ESRCH')) return false;
    throw error;
  }
}

/** The same, but a process of another user is left alone: for processes that were found, not started. */
export function signalProcess(pid: number, signal: NodeJS.Signals): boolean {
  try {
    return sendSignal(pid, signal);
  } catch (error) {
    if (isErrno(error, 'EPERM')) return false;
    throw error;
  }
}

/** The process group of this leader. */
export const signalGroup = (leader: number, signal: NodeJS.Signals): boolean => signalProcess(-leader, signal);

export interface Wait {
  readonly withinMs: number;
  /** Aborted: the wait ends. */
  readonly signal?: AbortSignal | undefined;
  /** Called at each look. */
  readonly meanwhile?: () => void;
}

/** Returns whether all of them are gone when the wait ends. */
export async function untilGone(
  processes: readonly ProcessIdentity[],
  { withinMs, signal, meanwhile }: Wait,
): Promise<boolean> {
  const deadline = performance.now() + withinMs;
  while (processes.some((one) => isAlive(one))) {
    if (performance.now() >= deadline || signal?.aborted) return false;
    await sleep(POLL_MS);
    meanwhile?.();
  }
  return true;
}

export interface EndStep {
  readonly signal: NodeJS.Signals;
  readonly withinMs: number;
}

/**
 * Sends one signal after the other until the process is gone. Returns the signal that ended it, `undefined` if it was gone
 * before. An aborted `forceShutdown` skips to the last signal.
 */
export async function endProcess(
  identity: ProcessIdentity,
  steps: readonly EndStep[],
  forceShutdown?: AbortSignal,
): Promise<NodeJS.Signals | undefined> {
  for (const step of steps) {
    if (!isAlive(identity)) return undefined;
    const isLast = step === steps.at(-1);
    if (forceShutdown?.aborted && !isLast) continue;
    sendSignal(identity.pid, step.signal);
    // A suspended process receives the signal only when it is continued.
    if (isSuspended(identity)) sendSignal(identity.pid, 'SIGCONT');
    if (await untilGone([identity], { withinMs: step.withinMs, signal: isLast ? undefined : forceShutdown }))
      return step.signal;
  }
  throw new LonghaulError('internal_error', `Process ${identity.pid} still runs after SIGKILL.`);
}

/**
 * Ends the group that this process leads: SIGTERM, a wait, SIGKILL. Does nothing if the identity no longer matches; a sweep
 * for the mark then finds the members of the group.
 */
export async function endProcessGroup(leader: ProcessIdentity, graceMs: number): Promise<void> {
  if (!isAlive(leader) || !signalGroup(leader.pid, 'SIGTERM')) return;
  await untilGone([leader], { withinMs: graceMs });
  // The group id cannot have been given to others in the moment since: pids are handed out in turn.
  signalGroup(leader.pid, 'SIGKILL');
  await untilGone([leader], { withinMs: KILL_BOUND_MS });
}
