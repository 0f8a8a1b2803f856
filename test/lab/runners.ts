import { readdirSync } from 'node:fs';
import { readProc } from '../../processes/identity.ts';

/** Children of a process that run the runner. */
export function runnersOf(parent: number): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .filter((name) => {
      const stat = readProc(`/proc/${name}/stat`)?.toString('latin1') ?? '';
      const [, parentOf] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
      return Number(parentOf) === parent && readProc(`/proc/${name}/cmdline`)?.includes('runner-main') === true;
    })
    .map(Number);
}
