/**
 * Runs a short program, such as git, to its end, with its output in memory. The program has its own process group. A
 * program that is cancelled, times out or exceeds its output limit is ended with its whole group: SIGTERM, then
 * SIGKILL. Not covered: if the calling process is killed, the program keeps running.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { decodeTail } from '../contract/cut-text.ts';
import { isErrno, messageOf } from '../contract/errors.ts';
import { signalGroup } from './end.ts';

export interface RunRequest {
  /** The path of the program, or a name that is looked up on the PATH of `env`. */
  readonly file: string;
  readonly args: readonly string[];
  readonly cwd: string;
  /** The whole environment of the program. */
  readonly env: NodeJS.ProcessEnv;
  readonly input?: string | Uint8Array;
  readonly timeoutMs: number;
  /** The limit of stdout in bytes. If the program writes more, it is ended and `truncated` is set. */
  readonly maxStdoutBytes?: number;
}

export type RunEnd =
  | {
      readonly kind: 'ended';
      /** `null` if a signal ended the program. */
      readonly exitCode: number | null;
      readonly stdout: Buffer;
      /** The last 64 KB of stderr. */
      readonly stderr: string;
      readonly truncated: boolean;
      readonly timedOut: boolean;
    }
  | NotStarted;

export interface NotStarted {
  readonly kind: 'not_started';
  /** True if the program does not exist. */
  readonly notFound: boolean;
  readonly message: string;
}

/** The wait between SIGTERM and SIGKILL. git removes its lock files in this time. */
const STOP_GRACE_MS = 2_000;
const STDERR_KEPT_BYTES = 64 * 1024;

export interface RunHooks {
  /** If the signal aborts, the program is ended. The promise of `run` resolves after the exit. */
  readonly signal?: AbortSignal;
  readonly onSpawn?: (pid: number) => void;
}

/**
 * Runs the program until it exits, or until it is ended early: by an abort, the timeout or the output limit. Never
 * rejects.
 */
export async function run(wanted: RunRequest, { signal, onSpawn }: RunHooks = {}): Promise<RunEnd> {
  const { file, args, cwd, env, input, timeoutMs } = wanted;
  let child: ChildProcess;
  try {
    child = spawn(file, args, {
      cwd,
      env,
      stdio: [input === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'],
      detached: true,
    });
  } catch (error) {
    return notStarted(error); // for example a NUL in an argument, or too many arguments
  }
  if (child.pid !== undefined) onSpawn?.(child.pid);
  const stop = stopper(child);
  let timedOut = false;
  const timer = setTimeout(() => {
    timedOut = true;
    stop.now();
  }, timeoutMs);
  signal?.addEventListener('abort', stop.now, { once: true });
  if (signal?.aborted) stop.now();
  try {
    const end = await endOf(child, wanted, stop.now);
    return end.kind === 'ended' ? { ...end, timedOut } : end;
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener('abort', stop.now);
    stop.done();
  }
}

/** Converts the error of a failed spawn to the result of a program that was not started. */
export function notStarted(error: unknown): NotStarted {
  const message = messageOf(error);
  return { kind: 'not_started', notFound: isErrno(error, 'ENOENT'), message };
}

/**
 * Returns two functions. `now` sends SIGTERM to the whole process group, and SIGKILL after the grace time. `done`,
 * called after the exit, kills the rest of a group to which `now` sent a signal.
 */
function stopper(child: ChildProcess): { now: () => void; done: () => void } {
  let killer: NodeJS.Timeout | undefined;
  const send = (signal: NodeJS.Signals): void => {
    if (child.pid !== undefined) signalGroup(child.pid, signal);
  };
  return {
    now() {
      if (killer !== undefined) return;
      send('SIGTERM');
      killer = setTimeout(() => send('SIGKILL'), STOP_GRACE_MS);
    },
    done() {
      if (killer === undefined) return;
      clearTimeout(killer);
      // The leader has exited, but a process that it started (a filter, a checkout worker) may still run.
      send('SIGKILL');
    },
  };
}

function endOf(child: ChildProcess, { input, maxStdoutBytes }: RunRequest, stop: () => void): Promise<RunEnd> {
  const out: Buffer[] = [];
  const err: Buffer[] = [];
  let outBytes = 0;
  let errBytes = 0;
  const limit = maxStdoutBytes ?? Number.POSITIVE_INFINITY;
  child.stdout?.on('data', (chunk: Buffer) => {
    if (outBytes < limit) out.push(chunk.subarray(0, limit - outBytes));
    outBytes += chunk.length;
    if (outBytes > limit) stop();
  });
  child.stderr?.on('data', (chunk: Buffer) => {
    err.push(chunk);
    errBytes += chunk.length;
    while (err.length > 1 && errBytes - (err[0]?.length ?? 0) > STDERR_KEPT_BYTES) errBytes -= err.shift()?.length ?? 0;
  });
  // A program may exit without reading all of its input. The pipe then breaks, and the exit code gives the reason.
  child.stdin?.on('error', () => undefined);
  child.stdin?.end(input);
  return new Promise((resolve) => {
    child.on('error', (error) => resolve(notStarted(error)));
    child.on('close', (exitCode) => {
      const stderr = decodeTail(Buffer.concat(err));
      const truncated = outBytes > limit;
      resolve({ kind: 'ended', exitCode, stdout: Buffer.concat(out), stderr, truncated, timedOut: false });
    });
  });
}
