/** Reads the environment with which a process was started, from /proc. Linux only. */
import { readProc } from './identity.ts';

/**
 * Returns the variables of the process. Returns `undefined` if no such process exists, if it belongs to another user,
 * or on a system other than Linux. Variables that the process changed after its start are not visible.
 */
export function readEnvironment(pid: number): Record<string, string> | undefined {
  if (process.platform !== 'linux') return undefined;
  const bytes = readProc(`/proc/${pid}/environ`);
  return bytes && parseEnvironment(bytes);
}

/** Parses the content of /proc/PID/environ: entries `NAME=value`, each ended by a NUL. */
export function parseEnvironment(bytes: Buffer): Record<string, string> {
  const entries = bytes
    .toString('utf8')
    .split('\0')
    .flatMap((entry): [string, string][] => {
      const at = entry.indexOf('=');
      return at > 0 ? [[entry.slice(0, at), entry.slice(at + 1)]] : [];
    });
  return Object.fromEntries(entries);
}
