/** The environment that a process was started with, as the kernel keeps it. Linux only. */
import { readProc } from './identity.ts';

/** Undefined: there is no such process, or it belongs to another user. Later changes by the process itself do not show. */
export function readEnvironment(pid: number): Record<string, string> | undefined {
  if (process.platform !== 'linux') return undefined;
  const bytes = readProc(`/proc/${pid}/environ`);
  return bytes && parseEnvironment(bytes);
}

/** `bytes`: entries that end with NUL. */
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
