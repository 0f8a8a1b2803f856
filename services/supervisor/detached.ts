/**
 * Starts processes that keep running after the process that started them: each is spawned in a session of its own with
 * a log file, and is found again by its identity. Watching such a process keeps this process alive.
 */
import { spawn } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { mkdir, open } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { identifyRunning, isAlive, type ProcessIdentity } from '../../processes/identity.ts';
import { decodeTail } from '../../contract/cut-text.ts';
import { isErrno, LonghaulError } from '../../contract/errors.ts';
import { rotateUnusedLog } from './rotate-logs.ts';

const ATTACHED_POLL_MS = 200;

export interface RunningProcess {
  readonly identity: ProcessIdentity;
  /**
   * Resolves when the process has exited, with a description of how it ended, as far as that is known. Never rejects.
   */
  readonly exited: Promise<string>;
  /** After this call, watching the process no longer keeps this process alive. */
  release(): void;
}

export interface SpawnDetached {
  readonly command: string;
  readonly args: readonly string[];
  readonly env: NodeJS.ProcessEnv;
  readonly cwd: string;
  readonly logFile: string;
  readonly uid?: number;
  readonly gid?: number;
  /** The umask of the process. */
  readonly umask?: number;
  /** Called with a pipe from the process's fd 3, on which the process may announce something. */
  readonly onFd3?: (pipe: Readable) => void;
}

/** Starts a process in a session of its own. Fails if it cannot be executed. */
export async function spawnDetached(options: SpawnDetached): Promise<RunningProcess> {
  await mkdir(dirname(options.logFile), { recursive: true, mode: 0o700 });
  const log = openLog(options.logFile);
  try {
    const umask = options.umask === undefined ? undefined : process.umask(options.umask);
    const child = spawn(options.command, [...options.args], {
      cwd: options.cwd,
      env: options.env,
      detached: true,
      stdio: ['ignore', log, log, ...(options.onFd3 ? (['pipe'] as const) : [])],
      ...(options.uid === undefined ? {} : { uid: options.uid }),
      ...(options.gid === undefined ? {} : { gid: options.gid }),
    });
    // The child has inherited the umask when it was forked. No other code of this process ran meanwhile.
    if (umask !== undefined) process.umask(umask);
    const exited = new Promise<string>((resolve) => {
      child.once('exit', (code, signal) => resolve(signal ? `ended by ${signal}` : `exit code ${code}`));
      child.once('error', (error) => resolve(error.message));
    });
    await new Promise<void>((resolve, reject) => {
      child.once('spawn', resolve);
      child.once('error', reject);
    });
    const pipe = child.stdio[3];
    if (options.onFd3 && pipe && 'read' in pipe) options.onFd3(pipe);
    return { identity: identityOf(child.pid, options.command), exited, release: () => child.unref() };
  } finally {
    closeSync(log);
  }
}

function identityOf(pid: number | undefined, command: string): ProcessIdentity {
  if (pid === undefined) throw new LonghaulError('service_unreachable', `${command} could not be started.`);
  // The process has already exited. It gets an identity that no live process can have.
  return identifyRunning(pid) ?? { pid, startTime: 'ended', bootId: 'ended' };
}

function openLog(file: string): number {
  rotateUnusedLog(file);
  return openSync(file, 'a', 0o600);
}

/** Watches a process that is not a child of this process. Its exit is noticed by polling. */
export function watchProcess(identity: ProcessIdentity): RunningProcess {
  let ref = true;
  const watch = async (): Promise<string> => {
    while (isAlive(identity)) await sleep(ATTACHED_POLL_MS, undefined, { ref });
    return 'ended';
  };
  return {
    identity,
    exited: watch(),
    release: () => {
      ref = false;
    },
  };
}

/** Returns the last lines of a log, for messages. */
export async function lastLines(file: string, count = 12): Promise<string> {
  let handle;
  try {
    handle = await open(file, 'r');
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return '';
    throw error;
  }
  try {
    const { size } = await handle.stat();
    const length = Math.min(size, 32 * 1024);
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(length), 0, length, size - length);
    return decodeTail(buffer.subarray(0, bytesRead)).trimEnd().split('\n').slice(-count).join('\n');
  } finally {
    await handle.close();
  }
}
