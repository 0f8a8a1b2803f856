/** A long-running program that communicates through its pipes, such as an agent. It has a process group of its own. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import type { Readable, Writable } from 'node:stream';
import { LonghaulError } from '../contract/errors.ts';
import { identify, type ProcessIdentity } from './identity.ts';
import { signalGroup } from './end.ts';
import { type NotStarted, notStarted } from './run.ts';

export interface Program {
  /** A path, or a name on the PATH of `env`. */
  readonly file: string;
  readonly args: readonly string[];
  readonly cwd: string;
  /** The whole environment of the program. */
  readonly env: NodeJS.ProcessEnv;
  /** The entry of `env` (`NAME=value`) that no other start has: processes that the program leaves are found by it. */
  readonly mark?: string;
}

export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  /** It was ended because the runner, from which it was started, had ended: that says nothing about the program. */
  readonly runnerLost?: true;
}

export interface StartedProgram {
  readonly identity: ProcessIdentity;
  readonly stdin: Writable;
  readonly stdout: Readable;
  readonly stderr: Readable;
  /** Its group is killed with it. */
  readonly exited: Promise<Exit>;
  /** It has ended, and no process holds its stdout and stderr any more. */
  readonly closed: Promise<void>;
}

export type ProgramStart = { readonly kind: 'started'; readonly program: StartedProgram } | NotStarted;

/** Starts it as a child of this process. */
export async function startAsChild({ file, args, cwd, env }: Program): Promise<ProgramStart> {
  try {
    const child = spawn(file, args, { cwd, env, detached: true, stdio: 'pipe' });
    const { pid, stdin, stdout, stderr } = child;
    if (pid === undefined) {
      const [error]: unknown[] = await once(child, 'error').catch((error: unknown) => [error]);
      return notStarted(error);
    }
    child.on('error', () => {}); // a signal that could not be sent; the sender checks the process itself
    const exited = new Promise<Exit>((resolve) => {
      child.once('exit', (code, signal) => {
        signalGroup(pid, 'SIGKILL'); // at once: later another group may have the number
        resolve({ code, signal });
      });
    });
    const closed = new Promise<void>((resolve) => child.once('close', () => resolve()));
    return { kind: 'started', program: { identity: identityOf(pid), stdin, stdout, stderr, exited, closed } };
  } catch (error) {
    return notStarted(error); // a NUL in an argument, too many of them
  }
}

/**
 * The identity of a child that was just started. It can be read even if the child has already ended: the child stays a
 * zombie until this turn of the event loop is over.
 */
export function identityOf(pid: number): ProcessIdentity {
  const identity = identify(pid);
  if (identity === undefined) throw new LonghaulError('internal_error', `process ${pid} has no entry in /proc`);
  return identity;
}
