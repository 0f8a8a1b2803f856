/**
 * Finds the programs of a home in the process table: by their arguments, their user and the folder that they work in.
 *
 * Never: a process of another home, of a copy of this home, or of another user. Arguments alone prove nothing, because
 * any process may name any file. The working folder is compared by device and inode, so another spelling of the path, or
 * a home that was renamed, is the same folder, and a copy is not.
 */
import { execFile } from 'node:child_process';
import { readFile, readdir, readlink, stat } from 'node:fs/promises';
import { promisify } from 'node:util';
import { identifyRunning, isAlive, type ProcessIdentity } from './identity.ts';

const run = promisify(execFile);

export interface HomeProgram {
  /** Arguments that follow each other in its command line; the last one is followed by `named`. */
  readonly args: readonly string[];
  /** How the argument before `args` ends. Default: any. */
  readonly after?: RegExp;
  /** The path that the argument after `args` names: it decides where the working folder cannot be read. */
  readonly named: string;
  /** Absolute path of its working folder. */
  readonly folder: string;
}

/** The identity of such a program of this user, if one runs. `expected` is looked at first. */
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

/** Processes whose command line holds these arguments, one right after the other. Linux only. */
export async function pidsWithArguments(args: readonly string[]): Promise<number[]> {
  const wanted = `\0${args.join('\0')}\0`;
  const found: number[] = [];
  for (const name of await readdir('/proc')) {
    if (/^\d+$/.test(name) && (await commandLineOf(Number(name))).includes(wanted)) found.push(Number(name));
  }
  return found;
}

/** The argument after this one in a process's command line. Linux only; elsewhere `undefined`. */
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
  if (at < 0 || (program.after && !program.after.test(commandLine.slice(0, at)))) return false;
  const works = await worksIn(pid, program.folder);
  return works ?? commandLine.includes(`\0${[...program.args, program.named].join('\0')}\0`);
}

async function isOurs(pid: number): Promise<boolean> {
  return stat(`/proc/${pid}`).then(
    ({ uid }) => uid === process.geteuid?.(),
    () => false,
  );
}

/** `undefined`: not known, because its folder was removed or may not be read. */
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

/** Empty for a process that has ended meanwhile. */
async function commandLineOf(pid: number): Promise<string> {
  return readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
}
