/** What a process was started with, as the kernel keeps it. Linux only; elsewhere nothing is known. */
import { readProc } from './identity.ts';

/** Undefined: no such process, or somebody else's. A process that changed its own environment still shows the first. */
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
