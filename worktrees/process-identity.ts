/**
 * Tells a process from a later one with the same pid, and finds what a killed worker left running.
 * Linux reads /proc. Elsewhere `ps` gives start times, and orphans are not looked for (their git ends by
 * itself; a step that is run again within that moment may meet it).
 */
import { execFileSync } from 'node:child_process';
import { readFileSync, readlinkSync } from 'node:fs';
import { readFile, readdir } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';

/** In the environment of every git that we start; its value is the starter's identity. */
export const OWNER_VARIABLE = 'LONGHAUL_GIT_OWNER';

export interface Identity {
  readonly pid: number;
  readonly startTime: string;
  readonly bootId: string;
  /** Containers share a boot id but number their processes apart. Empty where there are none. */
  readonly pidNamespace: string;
  /** All of it in one line: the value of OWNER_VARIABLE. */
  readonly text: string;
}

const ORPHAN_GRACE_MS = 2_000;
let own: Identity | undefined;

export function ownIdentity(): Identity {
  if (own?.pid === process.pid) return own;
  const parts = {
    pid: process.pid,
    startTime: startTimeOf(process.pid) ?? '',
    bootId: bootId(),
    pidNamespace: pidNamespace(),
  };
  own = { ...parts, text: `${parts.bootId}/${parts.pidNamespace}/${parts.pid}/${parts.startTime}` };
  return own;
}

/** `unknown`: it lives, or lived, in another container, whose processes cannot be seen from here. */
export function stateOf(
  who: Pick<Identity, 'pid' | 'startTime' | 'bootId' | 'pidNamespace'>,
): 'alive' | 'dead' | 'unknown' {
  const me = ownIdentity();
  if (who.bootId !== me.bootId) return 'dead';
  if (who.pidNamespace !== me.pidNamespace) return 'unknown';
  return startTimeOf(who.pid) === who.startTime ? 'alive' : 'dead';
}

/** Ends the git processes that a dead process left, and returns once they are gone. */
export async function endOrphansOf(owner: string): Promise<void> {
  if (process.platform !== 'linux') return;
  const marker = Buffer.from(`${OWNER_VARIABLE}=${owner}\0`);
  const started = performance.now();
  for (;;) {
    const pids = await pidsWith(marker);
    if (pids.length === 0) return;
    // Asked first: git then removes its lock files.
    const signal = performance.now() - started < ORPHAN_GRACE_MS ? 'SIGTERM' : 'SIGKILL';
    for (const pid of pids) sendSignal(pid, signal);
    await sleep(10);
  }
}

async function pidsWith(marker: Buffer): Promise<number[]> {
  const names = (await readdir('/proc')).filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid);
  const found = await Promise.all(
    names.map(async (name) => {
      // Another user's process cannot be read and is not ours; one that has just ended is gone.
      const environ = await readFile(`/proc/${name}/environ`).catch(() => undefined);
      return environ?.includes(marker) === true ? [Number(name)] : [];
    }),
  );
  return found.flat();
}

function sendSignal(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch {
    // Gone meanwhile, which is what was asked for.
  }
}

/** Clock ticks since boot on Linux (/proc/PID/stat, field 22), else what `ps` prints; undefined: no such process. */
function startTimeOf(pid: number): string | undefined {
  try {
    if (process.platform !== 'linux') {
      return execFileSync('ps', ['-o', 'lstart=', '-p', String(pid)], { encoding: 'utf8' }).trim() || undefined;
    }
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The second field is a program's name in parentheses and may hold spaces and parentheses itself.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    const zombie = fields[0] === 'Z' || fields[0] === 'X';
    return zombie ? undefined : fields[19];
  } catch {
    return undefined;
  }
}

function bootId(): string {
  if (process.platform === 'linux') return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
  return execFileSync('sysctl', ['-n', 'kern.bootsessionuuid'], { encoding: 'utf8' }).trim();
}

function pidNamespace(): string {
  return process.platform === 'linux' ? readlinkSync('/proc/self/ns/pid') : '';
}
