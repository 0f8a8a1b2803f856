/**
 * Finds the `temporal` program on PATH or in our cache. If there is none, the program is downloaded from Temporal's
 * project, or built from source if the download fails. A download or build is made in a separate folder and gets its
 * final name by a rename, under a lock. So no process sees an incomplete program, and two builds do not run at once.
 */
import { spawn } from 'node:child_process';
import { createWriteStream } from 'node:fs';
import { access, chmod, constants, mkdir, readdir, rename, rm } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { tail } from '../../contract/cut-text.ts';
import { LonghaulError, messageOf } from '../../contract/errors.ts';
import { signalGroup } from '../../processes/end.ts';
import { takeLock } from '../home/lock.ts';
import { refuseWritableByOthers } from '../home/private-folder.ts';

/** The newest version that `go install` accepts, because later versions have a `replace` in their go.mod. */
export const TEMPORAL_VERSION = 'v1.5.1';
const RELEASES = 'https://github.com/temporalio/cli/releases/download';
const FIRST_BYTE_MS = 10_000;
const STALL_MS = 30_000;
const PROGRESS_MS = 15_000;
const BUILD_DISK = '3 GB';

export interface FindTemporal {
  /** Folder of downloaded and built programs. Several homes share it. */
  readonly cacheDir: string;
  /** The environment of the programs that download or build `temporal`. */
  readonly env: NodeJS.ProcessEnv;
  /** The search path for `temporal` and `go`. Default: PATH of `env`. */
  readonly path?: string;
  /** The address of the release archives. Default: the address of Temporal's project. */
  readonly releases?: string;
  /** Reports one line to the waiting user. */
  readonly onProgress: (line: string) => void;
  readonly signal?: AbortSignal;
}

/** Returns the path of a `temporal` program. If none exists, downloads one to the cache, or builds it there. */
export async function findTemporal(options: FindTemporal): Promise<string> {
  const path = options.path ?? options.env['PATH'] ?? '';
  const folder = join(options.cacheDir, 'temporal', TEMPORAL_VERSION);
  const cached = join(folder, 'temporal');
  const found = await locateTemporal(options.cacheDir, path);
  if (found === cached) await refuseWritableByOthers(folder);
  if (found) return found;
  await mkdir(folder, { recursive: true });
  await refuseWritableByOthers(folder);
  const release = await waitForLock(join(options.cacheDir, 'temporal', 'lock'), options);
  try {
    if (await isProgram(cached)) return cached;
    await removeLeftovers(folder);
    const workshop = join(folder, `.work-${process.pid}`);
    await mkdir(workshop);
    try {
      const made = await make(workshop, path, options);
      await rename(made, cached);
      return cached;
    } finally {
      await rm(workshop, { recursive: true, force: true });
    }
  } finally {
    await release();
  }
}

/** Returns the path of a `temporal` program that exists; undefined if there is none. */
export async function locateTemporal(cacheDir: string, path: string): Promise<string | undefined> {
  const onPath = await findOnPath('temporal', path);
  if (onPath) return onPath;
  const cached = join(cacheDir, 'temporal', TEMPORAL_VERSION, 'temporal');
  return (await isProgram(cached)) ? cached : undefined;
}

/** Returns the first program of that name on a search path. */
export async function findOnPath(name: string, path: string): Promise<string | undefined> {
  for (const folder of path.split(delimiter).filter(Boolean)) {
    if (await isProgram(join(folder, name))) return join(folder, name);
  }
  return undefined;
}

async function isProgram(file: string): Promise<boolean> {
  return access(file, constants.X_OK).then(
    () => true,
    () => false,
  );
}

async function waitForLock(folder: string, options: FindTemporal): Promise<() => Promise<void>> {
  for (let said = false; ; said = true) {
    const lock = await takeLock(folder);
    if (lock.kind === 'held') return () => lock.release();
    if (!said) options.onProgress(`temporal: process ${lock.holder.pid} is fetching or building it; waiting`);
    await sleep(300, undefined, { signal: options.signal });
  }
}

/** Removes the folders of killed builds, which may take up to 3 GB. */
async function removeLeftovers(folder: string): Promise<void> {
  for (const name of await readdir(folder)) {
    if (name.startsWith('.work-')) await rm(join(folder, name), { recursive: true, force: true });
  }
}

async function make(workshop: string, path: string, options: FindTemporal): Promise<string> {
  let reason: string;
  try {
    return await download(workshop, options);
  } catch (error) {
    if (options.signal?.aborted) throw error;
    reason = messageOf(error);
    options.onProgress(`temporal: no download (${reason})`);
  }
  const go = await findOnPath('go', path);
  if (!go) {
    throw new LonghaulError(
      'service_unreachable',
      `No Temporal server: \`temporal\` is not on PATH, the download failed (${reason}), and there is no \`go\` to build it with. Install the Temporal CLI, or set TEMPORAL_ADDRESS to a running server.`,
    );
  }
  return build(go, workshop, options);
}

async function download(workshop: string, options: FindTemporal): Promise<string> {
  const arch = process.arch === 'x64' ? 'amd64' : process.arch;
  const name = `temporal_cli_${TEMPORAL_VERSION.slice(1)}_${process.platform}_${arch}.tar.gz`;
  const url = `${options.releases ?? RELEASES}/${TEMPORAL_VERSION}/${name}`;
  options.onProgress(`temporal: downloading ${url}`);
  const archive = join(workshop, 'temporal.tar.gz');
  const stall = new AbortController();
  const stalled = (ms: number) =>
    setTimeout(() => stall.abort(new Error(`no data arrived for ${ms / 1000} s`)), ms).unref();
  let timer = stalled(FIRST_BYTE_MS);
  const signal = options.signal ? AbortSignal.any([options.signal, stall.signal]) : stall.signal;
  try {
    const response = await fetch(url, { signal, redirect: 'follow' });
    if (!response.ok || !response.body) throw new Error(`${url} answered ${response.status}`);
    const body = Readable.fromWeb(response.body);
    body.on('data', () => {
      clearTimeout(timer);
      timer = stalled(STALL_MS);
    });
    await pipeline(body, createWriteStream(archive), { signal });
  } catch (error) {
    throw stall.signal.aborted ? stall.signal.reason : withCause(error);
  } finally {
    clearTimeout(timer);
  }
  await execute('tar', ['-xzf', archive, '-C', workshop, 'temporal'], options.env, options);
  const made = join(workshop, 'temporal');
  await chmod(made, 0o755);
  await execute(made, ['--version'], options.env, options);
  return made;
}

/** Adds the cause to the message, because an error of fetch says only "fetch failed". */
function withCause(error: unknown): unknown {
  return error instanceof Error && error.cause instanceof Error ? error.cause : error;
}

async function build(go: string, workshop: string, options: FindTemporal): Promise<string> {
  const what = `github.com/temporalio/cli/cmd/temporal@${TEMPORAL_VERSION}`;
  options.onProgress(`temporal: building ${what} (once; some minutes, ${BUILD_DISK} of disk meanwhile)`);
  const started = Date.now();
  let lines = 0;
  const timer = setInterval(() => {
    const seconds = Math.round((Date.now() - started) / 1000);
    options.onProgress(`temporal: still building, ${lines} modules and packages done, ${seconds} s`);
  }, PROGRESS_MS);
  const env = {
    ...options.env,
    GOBIN: join(workshop, 'bin'),
    GOCACHE: join(workshop, 'cache'),
    GOMODCACHE: join(workshop, 'modules'),
    GOTMPDIR: workshop,
  };
  try {
    // -v prints each compiled package, which shows the progress; -modcacherw makes the module cache removable afterwards.
    await execute(go, ['install', '-v', '-modcacherw', '-ldflags', '-s -w', what], env, options, () => lines++);
  } finally {
    clearInterval(timer);
  }
  options.onProgress(`temporal: built in ${Math.round((Date.now() - started) / 1000)} s`);
  return join(workshop, 'bin', 'temporal');
}

/** Runs a program until it exits. An abort ends its whole process group, including compilers. */
async function execute(
  command: string,
  args: readonly string[],
  env: NodeJS.ProcessEnv,
  options: FindTemporal,
  onLine?: () => void,
): Promise<void> {
  options.signal?.throwIfAborted();
  const child = spawn(command, [...args], { cwd: '/', env, detached: true, stdio: ['ignore', 'ignore', 'pipe'] });
  const endGroup = (): void => {
    if (child.pid !== undefined && child.exitCode === null) signalGroup(child.pid, 'SIGKILL');
  };
  options.signal?.addEventListener('abort', endGroup, { once: true });
  let said = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    for (const character of text) if (character === '\n') onLine?.();
    said = tail(said + text, 2000);
  });
  try {
    const code = await new Promise<number | null>((resolve, reject) => {
      child.once('error', reject);
      child.once('close', resolve);
    });
    options.signal?.throwIfAborted();
    if (code !== 0) {
      throw new LonghaulError('service_unreachable', `${command} ${args.join(' ')} failed (${code}): ${said.trim()}`);
    }
  } finally {
    options.signal?.removeEventListener('abort', endGroup);
  }
}
