/**
 * Sends signals to processes and process groups, and waits until they have exited.
 *
 * Must never happen: a signal to a process whose identity was not checked immediately before.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { isErrno, LonghaulError } from '../contract/errors.ts';
import { isAlive, isSuspended, type ProcessIdentity } from './identity.ts';

const POLL_MS = 10;
/**
 * How long a process may take to exit after SIGKILL. It exits within milliseconds, unless it hangs in the kernel (for
 * example on a network disk that does not respond).
 */
export const KILL_TIMEOUT_MS = 5_000;

/**
 * Sends the signal. Returns false if no such process exists. Fails with EPERM if the process belongs to another user.
 */
export function sendSignal(pid: number, signal: NodeJS.Signals): boolean {
  try {
    process.kill(pid, signal);
    return true;
  } catch (error) {
    if (isErrno(error, 'ESRCH')) return false;
    throw error;
  }
}

/**
 * Like `sendSignal`, but returns false for a process of another user. It is meant for processes that this program found
 * and did not start.
 */
export function signalProcess(pid: number, signal: NodeJS.Signals): boolean {
  try {
    return sendSignal(pid, signal);
  } catch (error) {
    if (isErrno(error, 'EPERM')) return false;
    throw error;
  }
}

/**
 * Sends the signal to the process group of this leader. Returns false if the group is gone or belongs to another user.
 */
export const signalGroup = (leader: number, signal: NodeJS.Signals): boolean => signalProcess(-leader, signal);

export interface WaitOptions {
  readonly withinMs: number;
  /** If the signal aborts, the wait ends and returns false. */
  readonly signal?: AbortSignal | undefined;
  /** Called after each poll. */
  readonly meanwhile?: () => void;
}

/** Waits until all processes have exited. Returns false if the time is over or `signal` aborts before that. */
export async function waitForExits(
  processes: readonly ProcessIdentity[],
  { withinMs, signal, meanwhile }: WaitOptions,
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
 * Sends the signals of the steps in order until the process has exited. Returns the signal that ended the process, or
 * `undefined` if the process had already exited when the next signal was due. If `forceShutdown` is aborted, only the
 * last signal is sent.
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
    // A suspended process handles the signal only after it is continued.
    if (isSuspended(identity)) sendSignal(identity.pid, 'SIGCONT');
    if (await waitForExits([identity], { withinMs: step.withinMs, signal: isLast ? undefined : forceShutdown }))
      return step.signal;
  }
  throw new LonghaulError('internal_error', `Process ${identity.pid} still runs after SIGKILL.`);
}

/**
 * Ends the process group that `leader` leads: SIGTERM, then a wait of `graceMs`, then SIGKILL. Does nothing if the
 * identity no longer matches, because the pid may belong to another process; a sweep for the mark then finds the
 * members of the group.
 */
export async function endProcessGroup(leader: ProcessIdentity, graceMs: number): Promise<void> {
  if (!isAlive(leader) || !signalGroup(leader.pid, 'SIGTERM')) return;
  await waitForExits([leader], { withinMs: graceMs });
  // The kernel cannot have given the group id to another group since the check, because it assigns pids in ascending
  // order.
  signalGroup(leader.pid, 'SIGKILL');
  await waitForExits([leader], { withinMs: KILL_TIMEOUT_MS });
}
