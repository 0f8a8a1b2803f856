/** Finds a process of ours whose pid nobody wrote down, because its starter died right after starting it. */
import { execFile } from 'node:child_process';
import { readFile, readdir } from 'node:fs/promises';
import { promisify } from 'node:util';
import { identifyRunning, type ProcessIdentity } from '../processes/identity.ts';

const run = promisify(execFile);

/** A process whose command line holds these arguments in this order, one right after the other. */
export async function findByArguments(args: readonly string[]): Promise<ProcessIdentity | undefined> {
  const pids = process.platform === 'linux' ? await findInProc(args) : await findWithPs(args);
  for (const pid of pids) {
    const identity = pid === process.pid ? undefined : identifyRunning(pid);
    if (identity) return identity;
  }
  return undefined;
}

async function findInProc(args: readonly string[]): Promise<number[]> {
  const wanted = `\0${args.join('\0')}\0`;
  const found: number[] = [];
  for (const name of await readdir('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    // A process that is gone by now, or another user's, is not the one.
    const commandLine = await readFile(`/proc/${name}/cmdline`, 'utf8').catch(() => '');
    if (commandLine.includes(wanted)) found.push(Number(name));
  }
  return found;
}

async function findWithPs(args: readonly string[]): Promise<number[]> {
  const { stdout } = await run('ps', ['-axww', '-o', 'pid=,command='], { maxBuffer: 64 * 1024 * 1024 });
  const lines = stdout.split('\n').filter((line) => `${line} `.includes(` ${args.join(' ')} `));
  return lines.map((line) => Number.parseInt(line, 10));
}
