/**
 * Waits for a `git gc` of the user that may remove objects of any age (`--prune=now`). Such a gc first determines which
 * objects are reachable and removes the others later, including an object that got a ref in between. A plain gc removes
 * only objects older than two weeks.
 *
 * Not covered: a gc on another machine or in another container, and `git prune` or `git repack -a -d` run by hand,
 * because they write no file that shows that they run.
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
 * Returns when no such gc that started before the call still runs. Starts no git process if no gc runs. Throws
 * `repository_locked` after 10 minutes.
 */
export async function waitForPruningGc(commonDir: string, at: GitOptions): Promise<void> {
  // The file contains "<pid> <host name>". It exists while a gc runs, and after a gc that was killed.
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
  // The gc was killed and another program has its pid now.
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
    return ''; // the process has exited
  }
}
