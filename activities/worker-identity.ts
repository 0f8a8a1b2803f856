/** Who a worker is, as Temporal keeps it: host and process, by boot and start time, so that a later process with the same pid is not taken for it. */
import { isAlive, type ProcessIdentity } from '../processes/identity.ts';
import type { WorkerIdentity } from '../store/attempts.ts';

/** As the Web UI shows it: `1234@host boot:… start:…`. */
export function workerIdentity(host: string, worker: WorkerIdentity): string {
  return `${worker.pid}@${host} boot:${worker.bootId} start:${worker.startTime}`;
}

/** Undefined: a worker of another host, or nobody of ours. */
export function processOf(identity: string | null | undefined, host: string): ProcessIdentity | undefined {
  const match = /^(?<pid>\d+)@(?<host>\S+) boot:(?<boot>\S+) start:(?<start>\S+)$/.exec(identity ?? '')?.groups;
  if (!match || match['host'] !== host) return undefined;
  const { pid, boot, start } = match;
  return { pid: Number(pid), bootId: boot ?? '', startTime: start ?? '' };
}

export function isDeadWorker(identity: string | null | undefined, host: string): boolean {
  const process = processOf(identity, host);
  return process !== undefined && !isAlive(process);
}
