/**
 * The identity of a process: boot id, pid and start time. Together they distinguish the process from a later process
 * with the same pid, because the kernel reuses pids, after a reboot too. No code trusts or signals a bare pid.
 *
 * The identity is read from /proc on Linux, elsewhere with `ps` and `sysctl`. Not covered: containers, which share a
 * boot id but number their processes separately.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { isErrno, LonghaulError } from '../contract/errors.ts';

/** Identifies a process. A later process with the same pid has another identity. */
export interface ProcessIdentity {
  readonly pid: number;
  /**
   * The start time as the kernel reports it. Linux: clock ticks since boot, /proc/PID/stat field 22; elsewhere the text
   * that `ps` prints.
   */
  readonly startTime: string;
  /** /proc/sys/kernel/random/boot_id, or its equivalent. */
  readonly bootId: string;
}

interface ProcessStat {
  /** The state's letters, as proc(5) and ps(1) list them. A process whose state begins with Z or X has exited. */
  readonly state: string;
  readonly startTime: string;
}

/** The errors of a read of /proc/PID/… if the process has exited, is exiting, or belongs to another user. */
const GONE = ['ENOENT', 'ESRCH', 'EACCES', 'EPERM'] as const;

/**
 * Reads a file of /proc. Returns `undefined` if its process is gone or belongs to another user. Other errors are
 * rethrown.
 */
export function readProc(path: string): Buffer | undefined {
  try {
    return readFileSync(path);
  } catch (error) {
    if (isErrno(error, ...GONE)) return undefined;
    throw error;
  }
}

/**
 * Parses /proc/PID/stat. The second field, the command's name, may contain spaces and parentheses, so the fields are
 * counted from the last closing parenthesis.
 */
export function parseStat(text: string): ProcessStat | undefined {
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  const state = fields[0];
  const startTime = fields[19]; // field 22 of proc(5); the slice begins with field 3
  return state === undefined || startTime === undefined ? undefined : { state, startTime };
}

function statFromProc(pid: number): ProcessStat | undefined {
  const bytes = readProc(`/proc/${pid}/stat`);
  return bytes === undefined ? undefined : parseStat(bytes.toString('latin1'));
}

/**
 * Returns the state and start time that `ps` prints, for systems without /proc. Returns `undefined` if no such process
 * exists.
 */
export function statFromPs(pid: number): ProcessStat | undefined {
  const args = ['-o', 'state=,lstart=', '-p', String(pid)];
  const { error, status, stdout, stderr } = spawnSync('ps', args, { encoding: 'utf8', env: { LC_ALL: 'C' } });
  if (error) throw error;
  if (status === 1) return undefined; // no such process
  if (status !== 0) throw new LonghaulError('internal_error', `ps ${args.join(' ')}: expected exit code 0 or 1, found ${status}. ${stderr}`); // prettier-ignore
  const line = stdout.trim();
  const blank = line.indexOf(' ');
  return blank === -1 ? undefined : { state: line.slice(0, blank), startTime: line.slice(blank).trim() };
}

const statOf = process.platform === 'linux' ? statFromProc : statFromPs;

let bootId: string | undefined;

function currentBootId(): string {
  bootId ??= (
    process.platform === 'linux'
      ? readFileSync('/proc/sys/kernel/random/boot_id', 'latin1')
      : execFileSync('sysctl', ['-n', 'kern.bootsessionuuid'], { encoding: 'latin1' })
  ).trim();
  return bootId;
}

const hasEnded = ({ state }: ProcessStat): boolean => state.startsWith('Z') || state.startsWith('X');

const identityOf = (pid: number, { startTime }: ProcessStat): ProcessIdentity => ({
  pid,
  startTime,
  bootId: currentBootId(),
});

/**
 * Returns whether a signal (SIGSTOP, or SIGTSTP by Ctrl-Z) has suspended the process. A suspended process does nothing
 * until it is continued.
 */
export function isSuspended(identity: ProcessIdentity): boolean {
  return isAlive(identity) && statOf(identity.pid)?.state.startsWith('T') === true;
}

/**
 * Returns `undefined` if no such process exists. A zombie still has its identity, because the zombie's parent may ask
 * for this identity.
 */
export function identify(pid: number): ProcessIdentity | undefined {
  const stat = statOf(pid);
  return stat && identityOf(pid, stat);
}

/** Returns `undefined` if no process with this pid runs. A zombie counts as exited. */
export function identifyRunning(pid: number): ProcessIdentity | undefined {
  const stat = statOf(pid);
  return stat && !hasEnded(stat) ? identityOf(pid, stat) : undefined;
}

/** Returns the identity of this process. */
export function identifySelf(): ProcessIdentity {
  const self = identify(process.pid);
  if (self === undefined) {
    throw new LonghaulError('internal_error', `process ${process.pid}, which is this one, is not in the process table`);
  }
  return self;
}

/** Returns whether exactly this process still runs. A zombie counts as exited. */
export function isAlive(identity: ProcessIdentity): boolean {
  if (identity.bootId !== currentBootId()) return false;
  const stat = statOf(identity.pid);
  return stat !== undefined && stat.startTime === identity.startTime && !hasEnded(stat);
}
