/**
 * Telling a process from a later one that got the same pid: boot id, pid and start time together. A
 * pid alone is never signalled. Needs /proc (Linux).
 */
import { readFileSync } from 'node:fs';
import { LonghaulError } from '../../workflows/errors.ts';
import type { ProcessIdentity } from '../driver.ts';

interface ProcessStat {
  /** One letter, as proc(5) lists them; Z and X are dead. */
  readonly state: string;
  readonly startTime: string;
}

/** What reading /proc/PID/… answers when the process is gone, ends just now, or belongs to somebody else. */
const GONE: ReadonlySet<string> = new Set(['ENOENT', 'ESRCH', 'EACCES', 'EPERM']);

/** A file of /proc, or undefined if its process cannot be seen. Other errors are thrown on. */
export function readProc(path: string): Buffer | undefined {
  try {
    return readFileSync(path);
  } catch (error) {
    if (error instanceof Error && 'code' in error && typeof error.code === 'string' && GONE.has(error.code)) {
      return undefined;
    }
    throw error;
  }
}

/** The second field, the command's name, may hold spaces and parentheses: fields are counted from the last one. */
export function parseStat(text: string): ProcessStat | undefined {
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  const state = fields[0];
  const startTime = fields[19]; // field 22 of proc(5); the slice begins with field 3
  return state === undefined || startTime === undefined ? undefined : { state, startTime };
}

let bootId: string | undefined;

function currentBootId(): string {
  bootId ??= readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim();
  return bootId;
}

function statOf(pid: number): ProcessStat | undefined {
  const bytes = readProc(`/proc/${pid}/stat`);
  return bytes === undefined ? undefined : parseStat(bytes.toString('latin1'));
}

/** Undefined if no such process exists. A zombie still has its identity. */
export function identify(pid: number): ProcessIdentity | undefined {
  if (process.platform !== 'linux') {
    throw new LonghaulError(
      'not_supported_yet',
      `Running agents needs /proc to tell processes apart, so Linux; this is ${process.platform}.`,
    );
  }
  const stat = statOf(pid);
  return stat === undefined ? undefined : { pid, startTime: stat.startTime, bootId: currentBootId() };
}

/** Whether exactly this process still runs. A zombie has ended. */
export function isAlive(identity: ProcessIdentity): boolean {
  if (identity.bootId !== currentBootId()) return false;
  const stat = statOf(identity.pid);
  return stat !== undefined && stat.startTime === identity.startTime && stat.state !== 'Z' && stat.state !== 'X';
}
