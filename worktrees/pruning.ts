/**
 * Waits for a `git gc` of the user that may remove objects of any age (`--prune=now`): it determines once which objects
 * are reachable and removes the others later, also one that a ref of ours names meanwhile. A plain gc removes none that
 * is younger than two weeks.
 *
 * Not covered: a gc on another machine or in another container, and `git prune` or `git repack -a -d` by hand, which
 * leave no sign.
 */
import { execFileSync } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import path from 'node:path';
import { identifyRunning, isAlive, readProc } from '../processes/identity.ts';
import { LonghaulError } from '../contract/errors.ts';
import { type GitOptions, tryGit } from './git.ts';
import { pause } from './pause.ts';
import { orAbsent } from './repository.ts';

const POLL_MS = 10;
const PATIENCE_MS = 10 * 60_000;

/**
 * Returns when no such gc that began before the call still runs. No git process if there is no gc. Throws
 * `repository_locked` after 10 minutes.
 */
export async function untilPruned(commonDir: string, at: GitOptions): Promise<void> {
  // "<pid> <host name>", while a gc runs and after one that was killed.
  const text = (await orAbsent(readFile(path.join(commonDir, 'gc.pid'), 'utf8'))) ?? '';
  const [pid, host] = text.trim().split(' ');
  if (host !== hostname()) return;
  const gc = identifyRunning(Number(pid));
  if (gc === undefined || !(await takesYoung(gc.pid, at))) return;
  const started = performance.now();
  while (isAlive(gc)) {
    if (performance.now() - started > PATIENCE_MS) {
      const what = `${commonDir} is busy: process ${gc.pid}, a git gc that removes young objects, works on it.`;
      throw new LonghaulError('repository_locked', `${what} Try again when it has ended.`);
    }
    await pause(POLL_MS, at.signal);
  }
}

async function takesYoung(pid: number, at: GitOptions): Promise<boolean> {
  const line = commandLine(pid);
  // Another program has the pid of a gc that was killed.
  if (!/(^|[\s/-])gc(\s|$)/.test(line)) return false;
  if (/\s--p|gc\.pruneexpire=/i.test(line)) return true;
  return (await tryGit(['config', '--get', 'gc.pruneExpire'], at)).exitCode === 0;
}

function commandLine(pid: number): string {
  if (process.platform === 'linux')
    return readProc(`/proc/${pid}/cmdline`)?.toString('utf8').replaceAll('\0', ' ') ?? '';
  try {
    return execFileSync('ps', ['-ww', '-o', 'args=', '-p', String(pid)], { encoding: 'utf8' });
  } catch {
    return ''; // it has ended
  }
}
