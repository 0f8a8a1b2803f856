/** Runs programs of the installed package as its user: a user without rights, with an empty home. */
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { inject } from 'vitest';

export const place = inject('place');
export const home = join(place, 'home');

export interface Result {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

const idOf = (flag: string): number => Number(execFileSync('id', [flag, 'nobody'], { encoding: 'utf8' }));
/** Root could write everywhere, so that a package which writes to itself would not be noticed. */
export const user: { readonly uid?: number; readonly gid?: number } =
  process.getuid?.() === 0 ? { uid: idOf('-u'), gid: idOf('-g') } : {};

export async function run(command: string, args: readonly string[], cwd: string): Promise<Result> {
  const child = spawn(command, [...args], {
    ...user,
    cwd,
    // Nothing of the test's own environment: its home and its caches are not this user's.
    env: { PATH: `${join(place, 'bin')}:/usr/local/bin:/usr/bin:/bin`, HOME: home },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let out = '';
  let err = '';
  child.stdout.on('data', (chunk: Buffer) => (out += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (err += chunk.toString()));
  const [code] = (await once(child, 'close')) as [number | null];
  return { code, out, err };
}
