/**
 * Finds the server of a data directory. The process that postmaster.pid names counts only if its working directory is
 * the data directory.
 *
 * Must never happen: a second postmaster starts while processes of an older one are alive. So a stale file is not
 * deleted. The pid in it is replaced by the pid of this process. Postgres considers that pid stale, because this
 * process is its parent. Postgres then still checks that the old shared memory is unused.
 */
import { execFile } from 'node:child_process';
import { readFile, readdir, readlink, realpath, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { identifyRunning, type ProcessIdentity } from '../../processes/identity.ts';
import { isErrno } from '../../contract/errors.ts';
import { pidsWithArguments } from '../../processes/find-program.ts';
import { endProcess, waitForExits } from '../../processes/end.ts';

const run = promisify(execFile);
/**
 * How long processes of a dead postmaster get to exit. These processes exit within milliseconds of its death; a process
 * that is busy may take longer.
 */
const ORPHANS_MS = 3_000;

export interface Postmaster {
  readonly identity: ProcessIdentity;
  readonly port: number;
}

/** Returns the live postmaster of this data directory; undefined if there is none. */
export async function findPostmaster(dataDir: string): Promise<Postmaster | undefined> {
  const lines = await readPidFile(dataDir);
  const pid = Number(lines?.[0]);
  const port = Number(lines?.[3]);
  if (!Number.isInteger(pid) || pid <= 0 || !Number.isInteger(port) || port <= 0) return undefined;
  const identity = identifyRunning(pid);
  if (!identity || !(await worksIn(pid, dataDir))) return undefined;
  return { identity, port };
}

/** Finds the postmaster of a home that was removed together with the pid file. Linux only. */
export async function findRemovedPostmaster(dataDir: string): Promise<ProcessIdentity | undefined> {
  if (process.platform !== 'linux') return undefined;
  // Arguments that name the folder do not prove that the process is the server, because any process may have such
  // arguments. So its working directory is checked, too.
  for (const pid of await pidsWithArguments(['-D', dataDir])) {
    const isRemoved = (await cwdOf(pid))?.endsWith(' (deleted)') === true;
    const identity = isRemoved && (await readComm(pid)).startsWith('postgres') ? identifyRunning(pid) : undefined;
    if (identity) return identity;
  }
  return undefined;
}

/** Makes a stale pid file harmless, so that a server can start. Call it only if findPostmaster found none. */
export async function repairPidFile(dataDir: string): Promise<void> {
  await endOrphans(dataDir);
  const lines = await readPidFile(dataDir);
  if (lines === undefined) return;
  const path = join(dataDir, 'postmaster.pid');
  // The postmaster was killed while it wrote the file, before it started anything. Postgres would refuse the file.
  if (!/^\d+$/.test(lines[0] ?? '')) return rm(path);
  await writeFile(path, [String(process.pid), ...lines.slice(1)].join('\n'));
}

async function readPidFile(dataDir: string): Promise<string[] | undefined> {
  try {
    return (await readFile(join(dataDir, 'postmaster.pid'), 'utf8')).split('\n').map((line) => line.trim());
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return undefined;
    throw error;
  }
}

/**
 * Whether the process works in the data directory. A postmaster and its children have the data directory as their
 * working directory.
 */
async function worksIn(pid: number, dataDir: string): Promise<boolean> {
  if (process.platform === 'linux') return (await cwdOf(pid)) === (await realpath(dataDir));
  try {
    const { stdout } = await run('ps', ['-o', 'command=', '-ww', '-p', String(pid)]);
    return stdout.includes('postgres') && stdout.includes(`-D ${dataDir} `);
  } catch {
    return false;
  }
}

async function cwdOf(pid: number): Promise<string | undefined> {
  try {
    return await readlink(`/proc/${pid}/cwd`);
  } catch {
    // The process has exited or belongs to another user, so it is not ours.
    return undefined;
  }
}

/**
 * Waits for the processes that a killed postmaster left, then ends them. On systems other than Linux this function does
 * nothing, so the start of Postgres fails and is retried.
 */
async function endOrphans(dataDir: string): Promise<void> {
  if (process.platform !== 'linux') return;
  const real = await realpath(dataDir);
  for (const name of await readdir('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    const pid = Number(name);
    const identity = (await cwdOf(pid)) === real ? identifyRunning(pid) : undefined;
    // Only processes of Postgres are ended, because a user's shell may have the data directory as its working
    // directory.
    if (!identity || !(await readComm(pid)).startsWith('postgres')) continue;
    if (!(await waitForExits([identity], { withinMs: ORPHANS_MS })))
      await endProcess(identity, [{ signal: 'SIGKILL', withinMs: 5_000 }]);
  }
}

async function readComm(pid: number): Promise<string> {
  return readFile(`/proc/${pid}/comm`, 'utf8').catch(() => '');
}
