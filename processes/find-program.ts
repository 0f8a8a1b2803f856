/**
 * Finds the programs of a home in the process table by their arguments, their user and their working folder.
 *
 * Must never happen: this module returns a process of another home, of a copy of this home, or of another user. The
 * arguments are not sufficient, because any process may name any file. So this module compares the working folder by
 * device and inode: the folder is the same under another spelling of its path and after the home was renamed, and a
 * copy of the home has another inode.
 */
import { execFile } from 'node:child_process';
import { readFile, readdir, readlink, stat } from 'node:fs/promises';
import { promisify } from 'node:util';
import { identifyRunning, isAlive, type ProcessIdentity } from './identity.ts';

const run = promisify(execFile);

export interface HomeProgram {
  /** Consecutive arguments in the program's command line. The argument after the last of them is the path `named`. */
  readonly args: readonly string[];
  /**
   * A pattern for the end of the argument that precedes `args`. If the pattern is omitted, any argument may precede
   * `args`.
   */
  readonly precedingArgumentEnd?: RegExp;
  /**
   * The path that follows `args` in the command line. It identifies the home if the working folder of the process
   * cannot be read.
   */
  readonly named: string;
  /** Absolute path of the program's working folder. */
  readonly folder: string;
}

/**
 * Returns the identity of a running process of this user that matches `program`. Checks the process `expected` first.
 */
export async function findHomeProgram(
  program: HomeProgram,
  expected?: ProcessIdentity,
): Promise<ProcessIdentity | undefined> {
  if (expected && isAlive(expected) && (await isHomeProgram(expected.pid, program))) return expected;
  for (const pid of await candidates(program)) {
    if (pid === process.pid || !(await isHomeProgram(pid, program))) continue;
    const identity = identifyRunning(pid);
    if (identity) return identity;
  }
  return undefined;
}

/** Returns the pids of all processes whose command line contains these arguments consecutively. Linux only. */
export async function pidsWithArguments(args: readonly string[]): Promise<number[]> {
  const wanted = `\0${args.join('\0')}\0`;
  const found: number[] = [];
  for (const name of await readdir('/proc')) {
    if (/^\d+$/.test(name) && (await commandLineOf(Number(name))).includes(wanted)) found.push(Number(name));
  }
  return found;
}

/** Returns the argument that follows `flag` in the command line of the process. Linux only; elsewhere `undefined`. */
export async function argumentAfter(pid: number, flag: string): Promise<string | undefined> {
  const args = (await commandLineOf(pid)).split('\0');
  const at = args.indexOf(flag);
  return at < 0 ? undefined : args[at + 1];
}

async function candidates({ args, named }: HomeProgram): Promise<number[]> {
  if (process.platform === 'linux') return pidsWithArguments(args);
  const { stdout } = await run('ps', ['-axww', '-o', 'pid=,command='], { maxBuffer: 64 * 1024 * 1024 });
  const lines = stdout.split('\n').filter((line) => `${line} `.includes(` ${[...args, named].join(' ')} `));
  return lines.map((line) => Number.parseInt(line, 10));
}

async function isHomeProgram(pid: number, program: HomeProgram): Promise<boolean> {
  if (process.platform !== 'linux') return (await candidates(program)).includes(pid);
  if (!(await isOurs(pid))) return false;
  const commandLine = await commandLineOf(pid);
  const at = commandLine.indexOf(`\0${program.args.join('\0')}\0`);
  if (at < 0 || (program.precedingArgumentEnd && !program.precedingArgumentEnd.test(commandLine.slice(0, at))))
    return false;
  const works = await worksIn(pid, program.folder);
  return works ?? commandLine.includes(`\0${[...program.args, program.named].join('\0')}\0`);
}

async function isOurs(pid: number): Promise<boolean> {
  return stat(`/proc/${pid}`).then(
    ({ uid }) => uid === process.geteuid?.(),
    () => false,
  );
}

/**
 * Returns whether the process works in the folder. Returns `undefined` if the process's working folder was removed or
 * cannot be read.
 */
async function worksIn(pid: number, folder: string): Promise<boolean | undefined> {
  const link = `/proc/${pid}/cwd`;
  try {
    if ((await readlink(link)).endsWith(' (deleted)')) return undefined;
    const [its, ours] = await Promise.all([stat(link), stat(folder)]);
    return its.dev === ours.dev && its.ino === ours.ino;
  } catch {
    return undefined;
  }
}

/** Returns the NUL-separated command line, or an empty text if the process has exited. */
async function commandLineOf(pid: number): Promise<string> {
  return readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
}
