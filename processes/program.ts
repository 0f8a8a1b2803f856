/**
 * Starts a long-running program that communicates through its pipes, such as an agent, in a process group of its own.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import type { Readable, Writable } from 'node:stream';
import { LonghaulError } from '../contract/errors.ts';
import { identify, type ProcessIdentity } from './identity.ts';
import { signalGroup } from './end.ts';
import { type NotStarted, notStarted } from './run.ts';

export interface Program {
  /** The path of the program, or a name that is looked up on the PATH of `env`. */
  readonly file: string;
  readonly args: readonly string[];
  readonly cwd: string;
  /** The whole environment of the program. */
  readonly env: NodeJS.ProcessEnv;
  /**
   * An entry of `env` (`NAME=value`) that no other start has. By this entry a sweep finds the processes that the
   * program left.
   */
  readonly mark?: string;
}

export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  /**
   * The runner that started the program has exited, so the program was ended too. In that case the program did not
   * cause its exit.
   */
  readonly runnerLost?: true;
}

export interface StartedProgram {
  readonly identity: ProcessIdentity;
  readonly stdin: Writable;
  readonly stdout: Readable;
  readonly stderr: Readable;
  /** Resolves when the program has exited. The rest of its process group is killed at that moment. */
  readonly exited: Promise<Exit>;
  /** Resolves when the program has exited and no process holds its stdout or stderr open any more. */
  readonly closed: Promise<void>;
}

export type ProgramStart = { readonly kind: 'started'; readonly program: StartedProgram } | NotStarted;

/** Starts the program as a child of this process, without the runner. */
export async function startAsChild({ file, args, cwd, env }: Program): Promise<ProgramStart> {
  try {
    const child = spawn(file, args, { cwd, env, detached: true, stdio: 'pipe' });
    const { pid, stdin, stdout, stderr } = child;
    if (pid === undefined) {
      const [error]: unknown[] = await once(child, 'error').catch((error: unknown) => [error]);
      return notStarted(error);
    }
    // Node emits `error` if kill(2) failed. The event is ignored, because the code that sends signals checks whether
    // the process has exited.
    child.on('error', () => {});
    const exited = new Promise<Exit>((resolve) => {
      child.once('exit', (code, signal) => {
        signalGroup(pid, 'SIGKILL'); // immediately, because the kernel may later give the group id to another group
        resolve({ code, signal });
      });
    });
    const closed = new Promise<void>((resolve) => child.once('close', () => resolve()));
    return { kind: 'started', program: { identity: identityOf(pid), stdin, stdout, stderr, exited, closed } };
  } catch (error) {
    return notStarted(error); // for example a NUL in an argument, or too many arguments
  }
}

/**
 * Returns the identity of a child that was just started. The identity can be read even if the child has exited, because
 * the child stays a zombie until the current turn of the event loop ends.
 */
export function identityOf(pid: number): ProcessIdentity {
  const identity = identify(pid);
  if (identity === undefined) throw new LonghaulError('internal_error', `process ${pid} has no entry in /proc`);
  return identity;
}
