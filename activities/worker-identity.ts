/**
 * Builds and parses the identity of a worker in Temporal: its host and its process. The identity includes the boot id
 * and the start time, because a later process may get the same pid.
 */
import { isAlive, type ProcessIdentity } from '../processes/identity.ts';
import type { WorkerIdentity } from '../store/attempts.ts';

/** Returns the identity as the Web UI shows it: `1234@host boot:… start:…`. */
export function workerIdentity(host: string, worker: WorkerIdentity): string {
  return `${worker.pid}@${host} boot:${worker.bootId} start:${worker.startTime}`;
}

/**
 * Returns the process that the identity names. Undefined: the identity is that of a worker of another host, or of
 * another program.
 */
export function processOf(identity: string | null | undefined, host: string): ProcessIdentity | undefined {
  const match = /^(?<pid>\d+)@(?<host>\S+) boot:(?<boot>\S+) start:(?<start>\S+)$/.exec(identity ?? '')?.groups;
  if (!match || match['host'] !== host) return undefined;
  const { pid, boot, start } = match;
  return { pid: Number(pid), bootId: boot ?? '', startTime: start ?? '' };
}

/** Returns whether the identity names a worker of this host whose process has exited. */
export function isDeadWorker(identity: string | null | undefined, host: string): boolean {
  const process = processOf(identity, host);
  return process !== undefined && !isAlive(process);
}
