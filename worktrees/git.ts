/**
 * Runs git without a shell, with an environment of its own, in a process group that is always ended before the call
 * returns.
 *
 * What must never happen: a hook runs, a prompt waits, a user's index is refreshed without their request, or a git
 * process continues to write after the call has returned. Not covered: the calling process itself is killed. Its
 * orphaned git processes carry OWNER_VARIABLE, and the process that takes over its lock ends them (repository-lock.ts).
 */
import { statfsSync } from 'node:fs';
import { homedir } from 'node:os';
import path from 'node:path';
import { runProgram } from '../processes/runner.ts';
import { LonghaulError } from '../contract/errors.ts';
import { missingFilterSettings } from './lfs.ts';
import { OWNER_VARIABLE, ownIdentity } from './git-owner.ts';
import { pause } from './pause.ts';

/**
 * If less space than this is free after git failed to write a file, the disk counts as full. The limit is not 0,
 * because git removes the incomplete file before it exits and so frees some space.
 */
const FULL_BELOW_BYTES = 1024 * 1024;

export interface GitOptions {
  /** The working folder of git (`-C`). Absolute. */
  readonly cwd: string;
  readonly env?: Readonly<Record<string, string>>;
  /** Settings for this command, as `-c key=value` would set them. */
  readonly settings?: Readonly<Record<string, string>>;
  readonly input?: string | Buffer;
  readonly signal?: AbortSignal;
  /**
   * Time limit of the whole call, including retries. Default 10 minutes, enough for a checkout of a very large
   * repository.
   */
  readonly deadlineMs?: number;
  /** If git writes more bytes to stdout, it is ended and `truncated` is set. */
  readonly maxStdoutBytes?: number;
}

export interface GitOutcome {
  /** null if a signal ended git. */
  readonly exitCode: number | null;
  readonly stdout: Buffer;
  readonly stderr: string;
  readonly truncated: boolean;
}

/**
 * The environment in which git refuses every transport (git, GIT_ALLOW_PROTOCOL). Without it git asks the remote of a
 * partial clone for each object that it does not find.
 */
export const WITHOUT_NETWORK: Readonly<Record<string, string>> = { GIT_ALLOW_PROTOCOL: 'none' };

const DEFAULT_DEADLINE_MS = 10 * 60_000;
/**
 * How long git is retried while another process holds one of git's locks. A user's own commit or gc holds a lock for
 * less time than this. A lock that is held longer remains from a crash.
 */
const LOCK_PATIENCE_MS = 5_000;

/**
 * The only variables of the worker's environment that git gets: for finding programs, for the user's own settings, and
 * for access to a remote.
 */
const PASSED_ON = [
  'PATH HOME USER LOGNAME TMPDIR XDG_CONFIG_HOME XDG_CACHE_HOME XDG_RUNTIME_DIR SSH_AUTH_SOCK',
  'GIT_CONFIG_GLOBAL GIT_CONFIG_SYSTEM GIT_CONFIG_NOSYSTEM GIT_SSL_CAINFO SSL_CERT_FILE SSL_CERT_DIR',
  'http_proxy https_proxy no_proxy HTTP_PROXY HTTPS_PROXY NO_PROXY ALL_PROXY',
]
  .join(' ')
  .split(' ');

/**
 * Settings that override the user's. Settings that affect file content (autocrlf, filters, excludes) are not
 * overridden, because checkouts need them: packages of git-lfs, for example, set its filters system-wide.
 */
const SETTINGS: Readonly<Record<string, string>> = {
  // Git refuses repositories of other owners because it may run their code. These commands run no code of the
  // repository, and the caller has named it.
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

/** Returns the paths at which git looks for the user's own settings (git-config, FILES). */
export function userSettingsFiles(): string[] {
  const { GIT_CONFIG_GLOBAL, XDG_CONFIG_HOME, HOME = homedir() } = process.env;
  if (GIT_CONFIG_GLOBAL !== undefined) return [GIT_CONFIG_GLOBAL];
  return [path.join(HOME, '.gitconfig'), path.join(XDG_CONFIG_HOME ?? path.join(HOME, '.config'), 'git', 'config')];
}

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
    // An empty value means that git does not ask. The process group has no terminal and no display either, so ssh
    // cannot ask.
    GIT_ASKPASS: '',
    GIT_OPTIONAL_LOCKS: '0',
    GIT_EDITOR: 'true',
    [OWNER_VARIABLE]: ownIdentity().text,
    ...options.env,
  };
}

/** Runs git to its end and returns the outcome. Throws only if it could not run, was aborted or ran out of time. */
export async function tryGit(args: readonly string[], options: GitOptions): Promise<GitOutcome> {
  const started = performance.now();
  const deadlineMs = options.deadlineMs ?? DEFAULT_DEADLINE_MS;
  for (let pauseMs = 20; ; pauseMs = Math.min(pauseMs * 2, 400)) {
    const elapsedMs = performance.now() - started;
    const outcome = await runOnce(args, options, deadlineMs - elapsedMs);
    const waitedMs = performance.now() - started;
    if (outcome.exitCode === 0 || !isTransient(outcome.stderr)) return outcome;
    if (waitedMs + pauseMs > Math.min(LOCK_PATIENCE_MS, deadlineMs)) return outcome;
    await pause(pauseMs * (0.5 + Math.random() / 2), options.signal);
  }
}

/**
 * Runs git and returns its stdout. Unlike `tryGit`, this function throws for every exit code other than 0:
 * `git_failed`, `repository_locked` or `disk_full`. It does not throw if git was ended because its output exceeded
 * `maxStdoutBytes`.
 */
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
  if (saysFullDisk(outcome.stderr, cwd)) {
    return new LonghaulError(
      'disk_full',
      `${name} in ${cwd} ran out of disk space (${said}). Free some and try again.`,
    );
  }
  const lock = lockInTheWay(outcome.stderr);
  if (lock !== undefined) {
    return new LonghaulError(
      'repository_locked',
      `${name} in ${cwd} waited ${LOCK_PATIENCE_MS / 1000} s for ${lock}. If no git process runs there, the file is left from a crash: delete it.`,
    );
  }
  const end = outcome.exitCode === null ? 'was ended by a signal' : `failed with exit code ${outcome.exitCode}`;
  return new LonghaulError('git_failed', `${name} in ${cwd} ${end}: ${said}`);
}

/**
 * Returns whether git failed because of a full disk. If git cannot write a file of a worktree, it names no cause
 * ("error: unable to write file x"; builtin checkout, git 2.39), so the free space decides.
 */
function saysFullDisk(stderr: string, cwd: string): boolean {
  if (/No space left on device|Disk quota exceeded/i.test(stderr)) return true;
  return /^error: unable to write /m.test(stderr) && freeBytes(cwd) < FULL_BELOW_BYTES;
}

function freeBytes(folder: string): number {
  const { bavail, bsize } = statfsSync(folder);
  return bavail * bsize;
}

/** Returns git's own error message: the last line that names the error, without the advice that follows it. */
export function lastLine(stderr: string): string {
  const lines = stderr.split('\n').filter((line) => line.trim() !== '');
  return lines.findLast((line) => /^(fatal|error):/.test(line)) ?? lines.at(-1) ?? '(git printed no reason)';
}

/**
 * Whether another git process interfered, so that a retry may succeed. Either that process holds a lock, or its gc
 * removed an objects folder while this git process wrote into the folder.
 */
function isTransient(stderr: string): boolean {
  return lockInTheWay(stderr) !== undefined || /unable to create temporary file: No such file/.test(stderr);
}

/** Returns the lock file of another git process if the command failed because of that lock. */
function lockInTheWay(stderr: string): string | undefined {
  const file = /Unable to create '([^']+\.lock)': File exists/.exec(stderr)?.[1];
  if (file !== undefined) return file;
  const config = /could not lock config file ([^:\n]+): File exists/.exec(stderr)?.[1];
  if (config !== undefined) return `${config}.lock`;
  const ref = /cannot lock ref '([^']+)'/i.exec(stderr)?.[1];
  return ref === undefined ? undefined : `the lock of ${ref}`;
}

async function runOnce(args: readonly string[], options: GitOptions, timeoutMs: number): Promise<GitOutcome> {
  const { cwd, input, maxStdoutBytes, signal } = options;
  signal?.throwIfAborted();
  const run = {
    file: 'git',
    args: ['-C', cwd, ...args],
    cwd: '/',
    env: environment(options),
    timeoutMs,
    ...(input === undefined ? {} : { input }),
    ...(maxStdoutBytes === undefined ? {} : { maxStdoutBytes }),
  };
  const end = await runProgram(run, signal);
  signal?.throwIfAborted();
  switch (end.kind) {
    case 'ended':
      if (!end.timedOut) return end;
      throw tookTooLong(args, options);
    case 'not_started': {
      const why = end.notFound ? 'git was not found on PATH. Install git 2.39 or newer.' : end.message;
      throw new LonghaulError('git_failed', `git could not be started: ${why}`);
    }
    case 'lost':
      throw new LonghaulError('git_failed', `git ${args[0] ?? ''} in ${cwd} was killed with the process that ran it.`);
  }
}

function tookTooLong(args: readonly string[], { cwd, deadlineMs = DEFAULT_DEADLINE_MS }: GitOptions): LonghaulError {
  const seconds = Math.round(deadlineMs / 1000);
  return new LonghaulError(
    'step_timeout',
    `git ${args[0] ?? ''} in ${cwd} did not exit within ${seconds} s and was ended.`,
  );
}
