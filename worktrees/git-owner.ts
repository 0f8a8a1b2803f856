/**
 * Marks the git processes of a worker, and ends those that a killed worker left. This works on Linux only. On other
 * systems a remaining git process exits by itself, and a step that runs again before then may collide with that
 * process.
 */
import { readlinkSync } from 'node:fs';
import { readFile, readdir } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { signalProcess } from '../processes/end.ts';
import { identifySelf, isAlive, type ProcessIdentity } from '../processes/identity.ts';

/**
 * The environment variable of every git process that Longhaul starts. Its value is the identity of the Longhaul process
 * that started git.
 */
export const OWNER_VARIABLE = 'LONGHAUL_GIT_OWNER';

/** A process that holds locks and starts git. */
export interface Owner extends ProcessIdentity {
  /**
   * The pid namespace: containers share a boot id but number their processes separately. Empty on a system without
   * /proc.
   */
  readonly pidNamespace: string;
  /** The whole identity in one line: the value of OWNER_VARIABLE. */
  readonly text: string;
}

const ORPHAN_GRACE_MS = 2_000;
let own: Owner | undefined;

export function ownIdentity(): Owner {
  if (own?.pid === process.pid) return own;
  const parts = { ...identifySelf(), pidNamespace: pidNamespace() };
  own = { ...parts, text: `${parts.bootId}/${parts.pidNamespace}/${parts.pid}/${parts.startTime}` };
  return own;
}

/**
 * Whether the owner's process runs. `unknown`: the owner belongs to another container, whose processes are not visible
 * in this one.
 */
export function ownerState(who: Omit<Owner, 'text'>): 'alive' | 'dead' | 'unknown' {
  const me = ownIdentity();
  if (who.bootId !== me.bootId) return 'dead';
  if (who.pidNamespace !== me.pidNamespace) return 'unknown';
  return isAlive(who) ? 'alive' : 'dead';
}

/** Ends the git processes that a dead process left, and returns when they have exited. */
export async function endOrphanedGitProcesses(owner: string): Promise<void> {
  if (process.platform !== 'linux') return;
  const marker = Buffer.from(`${OWNER_VARIABLE}=${owner}\0`);
  const started = performance.now();
  for (;;) {
    const pids = await pidsWith(marker);
    if (pids.length === 0) return;
    // SIGTERM first, so that git removes its lock files.
    const signal = performance.now() - started < ORPHAN_GRACE_MS ? 'SIGTERM' : 'SIGKILL';
    for (const pid of pids) signalProcess(pid, signal);
    await sleep(10);
  }
}

async function pidsWith(marker: Buffer): Promise<number[]> {
  const names = (await readdir('/proc')).filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid);
  const found = await Promise.all(
    names.map(async (name) => {
      // The environment of another user's process cannot be read; a process that has just exited no longer has one.
      const environ = await readFile(`/proc/${name}/environ`).catch(() => undefined);
      return environ?.includes(marker) === true ? [Number(name)] : [];
    }),
  );
  return found.flat();
}

function pidNamespace(): string {
  return process.platform === 'linux' ? readlinkSync('/proc/self/ns/pid') : '';
}
