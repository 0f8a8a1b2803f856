/**
 * Runs git: no shell, an environment that nothing of the caller's leaks into, a process group that is
 * gone once the call has ended, however it ended.
 *
 * What must never happen: a hook runs, a prompt waits, a user's index is refreshed behind their back,
 * or a git process goes on writing after the caller was told that it stopped. Not covered: a caller
 * that is killed itself; its orphans carry OWNER_VARIABLE and are ended by whoever takes over its lock
 * (repository-lock.ts).
 */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { isErrno, LonghaulError } from '../workflows/errors.ts';
import { missingFilterSettings } from './lfs.ts';
import { OWNER_VARIABLE, ownIdentity } from './git-owner.ts';

export interface GitOptions {
  /** Git starts here (`-C`). Absolute. */
  readonly cwd: string;
  readonly env?: Readonly<Record<string, string>>;
  /** Settings for this command, as `-c key=value` would set them. */
  readonly settings?: Readonly<Record<string, string>>;
  readonly input?: string | Buffer;
  readonly signal?: AbortSignal;
  /** The whole call, retries included. Default 10 minutes: a checkout of a very large repository. */
  readonly deadlineMs?: number;
  /** More bytes on stdout than this end the command: `truncated` is set. */
  readonly maxStdoutBytes?: number;
}

export interface GitOutcome {
  /** null: a signal ended it. */
  readonly exitCode: number | null;
  readonly stdout: Buffer;
  readonly stderr: string;
  readonly truncated: boolean;
}

const DEFAULT_DEADLINE_MS = 10 * 60_000;
/** How long a git that was asked to stop (it removes its lock files then) may take before it is killed. */
const STOP_GRACE_MS = 2_000;
/** A user's own commit or gc holds a lock for a moment; what is held longer was left by a crash. */
const LOCK_PATIENCE_MS = 5_000;
const STDERR_KEPT_BYTES = 64 * 1024;

/** The only variables of ours that git sees: programs, the user's own settings, and ways to a remote. */
const PASSED_ON = [
  'PATH HOME USER LOGNAME TMPDIR XDG_CONFIG_HOME XDG_CACHE_HOME XDG_RUNTIME_DIR SSH_AUTH_SOCK',
  'GIT_CONFIG_GLOBAL GIT_CONFIG_SYSTEM GIT_CONFIG_NOSYSTEM GIT_SSL_CAINFO SSL_CERT_FILE SSL_CERT_DIR',
  'http_proxy https_proxy no_proxy HTTP_PROXY HTTPS_PROXY NO_PROXY ALL_PROXY',
]
  .join(' ')
  .split(' ');

/**
 * Over the user's settings. Theirs stay in force where they shape content (autocrlf, filters,
 * excludes), also the system's: packages of git-lfs put its filters there.
 */
const SETTINGS: Readonly<Record<string, string>> = {
  // The caller named the repository; whose it is does not matter to commands that run nothing of it.
  'safe.directory': '*',
  'core.hooksPath': '/dev/null',
  'core.fsmonitor': 'false',
  'core.untrackedCache': 'false',
  'core.safecrlf': 'false',
  'core.quotePath': 'false',
  'core.logAllRefUpdates': 'false',
  'core.filesRefLockTimeout': '2000',
  'core.packedRefsTimeout': '2000',
  'checkout.workers': '4',
  'gc.auto': '0',
  'maintenance.auto': 'false',
  'submodule.recurse': 'false',
  'worktree.useRelativePaths': 'false',
  'i18n.commitEncoding': 'UTF-8',
  'credential.interactive': 'false',
};

function environment(options: GitOptions): NodeJS.ProcessEnv {
  const env: NodeJS.ProcessEnv = {};
  for (const key of PASSED_ON) if (process.env[key] !== undefined) env[key] = process.env[key];
  const settings = Object.entries({ ...SETTINGS, ...missingFilterSettings(), ...options.settings });
  settings.forEach(([key, value], at) => {
    env[`GIT_CONFIG_KEY_${at}`] = key;
    env[`GIT_CONFIG_VALUE_${at}`] = value;
  });
  return {
    ...env,
    GIT_CONFIG_COUNT: String(settings.length),
    LC_ALL: 'C',
    GIT_TERMINAL_PROMPT: '0',
    // Empty: ask nobody. The group has no terminal and no display either, so that ssh cannot ask.
    GIT_ASKPASS: '',
    GIT_OPTIONAL_LOCKS: '0',
    GIT_EDITOR: 'true',
    [OWNER_VARIABLE]: ownIdentity().text,
    ...options.env,
  };
}

/** Runs git to its end and says how that was. Throws only if it could not run, was aborted or ran out of time. */
export async function tryGit(args: readonly string[], options: GitOptions): Promise<GitOutcome> {
  const started = performance.now();
  const deadlineMs = options.deadlineMs ?? DEFAULT_DEADLINE_MS;
  for (let pauseMs = 20; ; pauseMs = Math.min(pauseMs * 2, 400)) {
    const elapsedMs = performance.now() - started;
    const outcome = await runOnce(args, options, deadlineMs - elapsedMs);
    const waitedMs = performance.now() - started;
    if (outcome.exitCode === 0 || !isTransient(outcome.stderr)) return outcome;
    if (waitedMs + pauseMs > Math.min(LOCK_PATIENCE_MS, deadlineMs)) return outcome;
    await sleep(pauseMs * (0.5 + Math.random() / 2), undefined, { signal: options.signal });
  }
}

/** As tryGit, but anything but exit code 0 is thrown: `git_failed`, `repository_locked` or `disk_full`. */
export async function git(args: readonly string[], options: GitOptions): Promise<Buffer> {
  const outcome = await tryGit(args, options);
  if (outcome.exitCode !== 0 && !outcome.truncated) throw gitError(args, options.cwd, outcome);
  return outcome.stdout;
}

export async function gitText(args: readonly string[], options: GitOptions): Promise<string> {
  return (await git(args, options)).toString('utf8').trimEnd();
}

export function gitError(args: readonly string[], cwd: string, outcome: GitOutcome): LonghaulError {
  const name = `git ${args.find((arg) => !arg.startsWith('-')) ?? ''}`.trim();
  const said = lastLine(outcome.stderr);
  if (/No space left on device|Disk quota exceeded/i.test(outcome.stderr)) {
    return new LonghaulError(
      'disk_full',
      `${name} in ${cwd} ran out of disk space (${said}). Free some and try again.`,
    );
  }
  const lock = lockInTheWay(outcome.stderr);
  if (lock !== undefined) {
    return new LonghaulError(
      'repository_locked',
      `${name} in ${cwd} waited ${LOCK_PATIENCE_MS / 1000} s for ${lock}. If no git is running there, a crash left that file: delete it.`,
    );
  }
  const end = outcome.exitCode === null ? 'was ended by a signal' : `failed with exit code ${outcome.exitCode}`;
  return new LonghaulError('git_failed', `${name} in ${cwd} ${end}: ${said}`);
}

/** Git's own last word: the last line that says what is wrong, without advice after it. */
function lastLine(stderr: string): string {
  const lines = stderr.split('\n').filter((line) => line.trim() !== '');
  return lines.findLast((line) => /^(fatal|error):/.test(line)) ?? lines.at(-1) ?? '(git said nothing)';
}

/** Another git was in the way for a moment: it holds a lock, or its gc removed an objects folder as we wrote into it. */
function isTransient(stderr: string): boolean {
  return lockInTheWay(stderr) !== undefined || /unable to create temporary file: No such file/.test(stderr);
}

/** The lock file that another git holds, if that is why the command failed. */
function lockInTheWay(stderr: string): string | undefined {
  const file = /Unable to create '([^']+\.lock)': File exists/.exec(stderr)?.[1];
  if (file !== undefined) return file;
  const config = /could not lock config file ([^:\n]+): File exists/.exec(stderr)?.[1];
  if (config !== undefined) return `${config}.lock`;
  const ref = /cannot lock ref '([^']+)'/i.exec(stderr)?.[1];
  return ref === undefined ? undefined : `the lock of ${ref}`;
}

async function runOnce(args: readonly string[], options: GitOptions, timeoutMs: number): Promise<GitOutcome> {
  options.signal?.throwIfAborted();
  const child = spawn('git', ['-C', options.cwd, ...args], {
    cwd: '/',
    env: environment(options),
    stdio: [options.input === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'],
    detached: true,
  });
  const stop = stopper(child);
  let timedOut = false;
  const timer = setTimeout(() => {
    timedOut = true;
    stop.now();
  }, timeoutMs);
  options.signal?.addEventListener('abort', stop.now, { once: true });
  try {
    const outcome = await outcomeOf(child, options, stop.now);
    options.signal?.throwIfAborted();
    if (timedOut) {
      const seconds = Math.round((options.deadlineMs ?? DEFAULT_DEADLINE_MS) / 1000);
      throw new LonghaulError(
        'step_timeout',
        `git ${args[0] ?? ''} in ${options.cwd} took longer than ${seconds} s and was ended.`,
      );
    }
    return outcome;
  } finally {
    clearTimeout(timer);
    options.signal?.removeEventListener('abort', stop.now);
    stop.done();
  }
}

/** Asks the whole group to stop, and kills what has not after a grace. */
function stopper(child: ChildProcess): { now: () => void; done: () => void } {
  let killer: NodeJS.Timeout | undefined;
  const send = (signal: NodeJS.Signals): void => {
    if (child.pid === undefined) return;
    try {
      process.kill(-child.pid, signal);
    } catch (error) {
      if (!isErrno(error, 'ESRCH')) throw error;
    }
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
      // The leader is gone; a helper of it (a filter, a checkout worker) may not be.
      send('SIGKILL');
    },
  };
}

function outcomeOf(child: ChildProcess, options: GitOptions, stop: () => void): Promise<GitOutcome> {
  const out: Buffer[] = [];
  const err: Buffer[] = [];
  let outBytes = 0;
  let errBytes = 0;
  const limit = options.maxStdoutBytes ?? Number.POSITIVE_INFINITY;
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
  // Git may end without reading all of its input: the pipe breaks and the exit code says why.
  child.stdin?.on('error', () => undefined);
  child.stdin?.end(options.input);
  return new Promise((resolve, reject) => {
    child.on('error', (error) => {
      const why = isErrno(error, 'ENOENT') ? 'git was not found on PATH. Install git 2.39 or newer.' : error.message;
      reject(new LonghaulError('git_failed', `git could not be started: ${why}`, { cause: error }));
    });
    child.on('close', (exitCode) => {
      const stderr = Buffer.concat(err).toString('utf8');
      resolve({ exitCode, stdout: Buffer.concat(out), stderr, truncated: outBytes > limit });
    });
  });
}
