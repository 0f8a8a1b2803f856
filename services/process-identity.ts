/**
 * Tells a process from a later one with the same pid: boot id + pid + start time. A bare pid is never
 * trusted: after a reboot, or after enough processes, it names a stranger.
 */
import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { promisify } from 'node:util';
import type { ProcessIdentity } from '../agents/driver.ts';

const run = promisify(execFile);

let bootIdOnce: Promise<string> | undefined;

function bootId(): Promise<string> {
  bootIdOnce ??=
    process.platform === 'linux'
      ? readFile('/proc/sys/kernel/random/boot_id', 'utf8').then((text) => text.trim())
      : run('sysctl', ['-n', 'kern.bootsessionuuid']).then(({ stdout }) => stdout.trim());
  return bootIdOnce;
}

/** Start time of a process that still runs. A zombie does not: it only waits for its parent. */
async function startTime(pid: number): Promise<string | undefined> {
  return process.platform === 'linux' ? linuxStartTime(pid) : psStartTime(pid);
}

async function linuxStartTime(pid: number): Promise<string | undefined> {
  let stat: string;
  try {
    stat = await readFile(`/proc/${pid}/stat`, 'utf8');
  } catch (error) {
    if (isGone(error)) return undefined;
    throw error;
  }
  // The second field is the name in parentheses and may hold both blanks and parentheses.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const state = fields[0];
  return state === 'Z' || state === 'X' ? undefined : fields[19];
}

async function psStartTime(pid: number): Promise<string | undefined> {
  try {
    const { stdout } = await run('ps', ['-o', 'state=,lstart=', '-p', String(pid)], { env: { LC_ALL: 'C' } });
    const line = stdout.trim();
    const blank = line.indexOf(' ');
    return line === '' || line.startsWith('Z') ? undefined : line.slice(blank + 1).trim();
  } catch (error) {
    // ps ends with 1 when there is no such process.
    if (error instanceof Error && 'code' in error && error.code === 1) return undefined;
    throw error;
  }
}

function isGone(error: unknown): boolean {
  return error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ESRCH');
}

/** `undefined`: no process with this pid runs. */
export async function identify(pid: number): Promise<ProcessIdentity | undefined> {
  const started = await startTime(pid);
  return started === undefined ? undefined : { pid, startTime: started, bootId: await bootId() };
}

export async function isAlive(identity: ProcessIdentity): Promise<boolean> {
  const now = await identify(identity.pid);
  return now !== undefined && now.startTime === identity.startTime && now.bootId === identity.bootId;
}
