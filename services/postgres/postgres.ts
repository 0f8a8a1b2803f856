/**
 * The embedded Postgres of a home: a real server that runs the programs of an npm package.
 *
 * `<dir>/data` is the cluster, `<dir>/password` its password (0600). The server listens on 127.0.0.1 only and has no
 * unix socket. The server keeps running after the process that started it exits, and later starts attach to the server.
 * fsync stays on.
 *
 * Must never happen: two servers on one data directory; a data directory that initdb did not complete is used. Not
 * covered: data of another major version. Such data is refused, because there is no upgrade.
 */
import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { chmod, chown, mkdir, open, readFile, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import postgres from 'postgres';
import { z } from 'zod';
import { isAlive, type ProcessIdentity } from '../../processes/identity.ts';
import { isErrno, LonghaulError } from '../../contract/errors.ts';
import { exists } from '../../processes/exists.ts';
import { readRecord, writeJson } from '../home/json-file.ts';
import { portNumberSchema, preferredOrFreePort } from '../supervisor/ports.ts';
import { findPostgresBinaries, linkLibraries, type PostgresBinaries } from './binaries.ts';
import { findPostmaster, repairPidFile } from './pidfile.ts';
import { choosePostgresUser, commandAsUser, type PostgresUser } from './user.ts';
import { endProcess } from '../../processes/end.ts';
import { watchProcess, lastLines, type RunningProcess, spawnDetached } from '../supervisor/detached.ts';

const run = promisify(execFile);
const ROLE = 'longhaul';
const DATABASE = 'longhaul';
/**
 * How long a start may take. After a kill, recovery replays the log since the last checkpoint (at most 512 MB here).
 */
const READY_MS = 120_000;
const READY_POLL_MS = 30;
const STARTS = 3;

// The settings are tuned for the task store of one machine: little memory, connections for many backends, and no
// parallel workers. Parallel workers need /dev/shm, which containers limit to 64 MB.
const TUNING: Readonly<Record<string, string>> = {
  listen_addresses: '127.0.0.1',
  unix_socket_directories: '',
  max_connections: '200',
  shared_buffers: '64MB',
  max_wal_size: '512MB',
  max_parallel_workers: '0',
  max_parallel_workers_per_gather: '0',
  dynamic_shared_memory_type: 'mmap',
  jit: 'off',
  fsync: 'on',
};

const portFile = z.object({ port: portNumberSchema });

export interface PostgresOptions {
  /** Folder of the server. It is created if it is missing. */
  readonly dir: string;
  readonly logFile: string;
  /** Preferred port. Default: the port of the last start. If the preferred port is taken, another port is used. */
  readonly port?: number;
  /** Variables that are added to the server's environment; they mark the server as ours. */
  readonly env?: Readonly<Record<string, string>>;
}

export interface RunningPostgres extends RunningProcess {
  readonly port: number;
  /** The address of the database `longhaul`. The database exists. */
  readonly url: string;
  /** True if the server ran before this call, so that this call did not start it. */
  readonly attached: boolean;
}

interface Programs {
  readonly binaries: PostgresBinaries;
  readonly user: PostgresUser;
  readonly env: NodeJS.ProcessEnv;
}

/** Attaches to the server of this folder or starts one. Resolves when the server responds. */
export async function startPostgres(options: PostgresOptions): Promise<RunningPostgres> {
  const found = await attachPostgres(options);
  if (found) return found;
  const binaries = await findPostgresBinaries();
  // Mode 0711: an unprivileged account must be able to enter the folder but not list it.
  await mkdir(options.dir, { recursive: true, mode: 0o711 });
  const user = await choosePostgresUser(options.dir, dataDirOf(options.dir), binaries.postgres);
  const env = { ...cleanEnv(), ...(await linkLibraries(binaries, join(options.dir, 'lib'))) };
  const programs = { binaries, user, env };
  const password = await initialise(options.dir, programs);
  await refuseOtherVersion(dataDirOf(options.dir), programs);
  for (let tries = 1; ; tries++) {
    try {
      return await launch(options, { ...programs, password });
    } catch (error) {
      if (tries >= STARTS) throw error;
      await sleep(200 * tries);
    }
  }
}

/** Attaches to the server of this folder if it runs, and waits until it responds. */
export async function attachPostgres(options: PostgresOptions): Promise<RunningPostgres | undefined> {
  const postmaster = await findPostmaster(dataDirOf(options.dir));
  if (!postmaster) return undefined;
  const url = urlOf(await readPassword(options.dir), postmaster.port);
  await untilReady(postmaster.identity, url, options);
  return { ...watchProcess(postmaster.identity), port: postmaster.port, url, attached: true };
}

/** Finds the server of this folder if it runs. The result has no address if the password cannot be read. */
export async function locatePostgres(
  dir: string,
): Promise<{ identity: ProcessIdentity; port: number; url?: string } | undefined> {
  const postmaster = await findPostmaster(dataDirOf(dir));
  if (!postmaster) return undefined;
  const password = await readPassword(dir).catch(() => undefined);
  return { ...postmaster, ...(password !== undefined && { url: urlOf(password, postmaster.port) }) };
}

/**
 * Stops the server with a fast shutdown: it disconnects clients and writes everything to disk. After 30 s the server is
 * forced to stop.
 */
export async function stopPostgres(identity: ProcessIdentity): Promise<void> {
  await endProcess(identity, [
    { signal: 'SIGINT', withinMs: 30_000 },
    { signal: 'SIGQUIT', withinMs: 5_000 },
    { signal: 'SIGKILL', withinMs: 5_000 },
  ]);
}

const dataDirOf = (dir: string): string => join(dir, 'data');
const passwordFileOf = (dir: string): string => join(dir, 'password');
const portFileOf = (dir: string): string => join(dir, 'server.json');
const urlOf = (password: string, port: number, database = DATABASE): string =>
  `postgres://${ROLE}:${password}@127.0.0.1:${port}/${database}`;

async function lastPort(dir: string): Promise<number | undefined> {
  return (await readRecord(portFileOf(dir), portFile))?.port;
}

/**
 * Creates the cluster if it is missing. initdb works in another folder, which is renamed to `data` when the cluster is
 * complete. Returns the password.
 */
async function initialise(dir: string, { binaries, user, env }: Programs): Promise<string> {
  if (await exists(join(dataDirOf(dir), 'PG_VERSION')))
    return (await storedPassword(dir)) ?? replacePassword(dir, { binaries, user, env });
  await removeUnfinished(dir);
  const password = newPassword();
  // The password file is synced to disk, as initdb syncs the cluster. If a power cut lost the password, no client could
  // connect.
  await writeDurably(passwordFileOf(dir), password);
  const fresh = join(dir, `data.new-${randomBytes(4).toString('hex')}`);
  const passwordForInit = `${fresh}.password`;
  await mkdir(fresh, { mode: 0o700 });
  await writeFile(passwordForInit, password, { mode: 0o600 });
  if (user.kind === 'account') {
    await chmod(dir, 0o711);
    await chown(fresh, user.uid, user.gid);
    await chown(passwordForInit, user.uid, user.gid);
  }
  const args = ['-D', fresh, '-U', ROLE, `--pwfile=${passwordForInit}`, '--auth=scram-sha-256'];
  const {
    command,
    args: all,
    ...as
  } = commandAsUser(user, binaries.initdb, [...args, '--encoding=UTF8', '--locale=C']);
  try {
    await run(command, all, { ...as, cwd: '/', env });
  } catch (error) {
    const said = error instanceof Error && 'stderr' in error ? String(error.stderr).trim() : String(error);
    throw new LonghaulError('service_unreachable', `initdb could not create ${dataDirOf(dir)}: ${said}`, {
      cause: error,
    });
  }
  await rm(passwordForInit);
  await rename(fresh, dataDirOf(dir));
  return password;
}

/** Removes the folders that a killed initdb left. An empty `data` folder is accepted: the user may have created it. */
async function removeUnfinished(dir: string): Promise<void> {
  for (const name of await readdir(dir)) {
    if (name.startsWith('data.new-')) await rm(join(dir, name), { recursive: true, force: true });
  }
  if ((await exists(dataDirOf(dir))) && (await readdir(dataDirOf(dir))).length > 0) {
    throw new LonghaulError(
      'service_unreachable',
      `${dataDirOf(dir)} is neither empty nor a Postgres data directory (no PG_VERSION): move it away.`,
    );
  }
}

async function writeDurably(file: string, text: string): Promise<void> {
  const handle = await open(file, 'w', 0o600);
  try {
    await handle.writeFile(text);
    await handle.sync();
  } finally {
    await handle.close();
  }
}

const newPassword = (): string => randomBytes(24).toString('hex');

async function readPassword(dir: string): Promise<string> {
  const password = await storedPassword(dir);
  if (password !== undefined) return password;
  throw new LonghaulError(
    'service_unreachable',
    `The password of the embedded Postgres is expected in ${passwordFileOf(dir)}, which is missing or empty: restore the file, or set a new password by \`longhaul down && longhaul up -d\`.`,
  );
}

/** Returns the stored password; `undefined` if the file is missing or empty. */
async function storedPassword(dir: string): Promise<string | undefined> {
  const file = passwordFileOf(dir);
  const read = readFile(file, 'utf8').catch((error: unknown) => {
    if (isErrno(error, 'ENOENT')) return '';
    throw new LonghaulError('service_unreachable', `The password of the embedded Postgres is expected in ${file}, which cannot be read: restore the file.`, { cause: error }); // prettier-ignore
  });
  return (await read).trim() || undefined;
}

/**
 * Sets a new password if the password file is lost. A process that may write the data folder can set a password in
 * Postgres' single-user mode, which refuses to run while a server runs. The password is passed by stdin, because other
 * users can see arguments. If this process is killed before the file is written, the next start repeats the procedure.
 */
async function replacePassword(dir: string, { binaries, user, env }: Programs): Promise<string> {
  const password = newPassword();
  await repairPidFile(dataDirOf(dir));
  const single = ['--single', '-D', dataDirOf(dir), '-c', 'dynamic_shared_memory_type=mmap', 'postgres'];
  const { command, args, ...as } = commandAsUser(user, binaries.postgres, single);
  // The exit code is not checked, because single-user mode exits with 0 even if the statement failed.
  const running = run(command, args, { ...as, cwd: '/', env });
  running.child.stdin?.end(`ALTER ROLE ${ROLE} PASSWORD '${password}'\n`);
  const failed = await running.then(
    ({ stderr }) => /^.*(?:ERROR|FATAL): .*$/m.exec(stderr)?.[0],
    (error: Error) => error.message,
  );
  if (failed !== undefined) {
    throw new LonghaulError(
      'service_unreachable',
      `The password file ${passwordFileOf(dir)} is missing or empty, and no new password could be set: ${failed}. Restore the file.`,
    );
  }
  await writeDurably(passwordFileOf(dir), password);
  return password;
}

async function refuseOtherVersion(dataDir: string, { binaries, env }: Programs): Promise<void> {
  const has = (await readFile(join(dataDir, 'PG_VERSION'), 'utf8')).trim();
  const { stdout } = await run(binaries.postgres, ['--version'], { cwd: '/', env });
  const brings = /(\d+)/.exec(stdout)?.[1];
  if (has === brings) return;
  throw new LonghaulError(
    'service_unreachable',
    `${dataDir} was created by Postgres ${has}, but this installation contains Postgres ${brings}: use the version of Longhaul that created it, dump it there and load it here.`,
  );
}

async function launch(
  options: PostgresOptions,
  { binaries, user, env, password }: Programs & { readonly password: string },
): Promise<RunningPostgres> {
  const dataDir = dataDirOf(options.dir);
  await repairPidFile(dataDir);
  // Clients reconnect to the address that they know, so a restarted server takes its old port if it can.
  const port = await preferredOrFreePort(options.port ?? (await lastPort(options.dir)));
  await writeJson(portFileOf(options.dir), { port });
  const settings = Object.entries(TUNING).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
  const { command, args, ...as } = commandAsUser(user, binaries.postgres, [
    '-D',
    dataDir,
    '-p',
    String(port),
    ...settings,
  ]);
  const started = await spawnDetached({
    command,
    args,
    ...as,
    cwd: '/',
    env: { ...env, ...options.env },
    logFile: options.logFile,
  });
  const url = urlOf(password, port);
  try {
    await untilReady(started.identity, url, options);
  } catch (error) {
    await stopPostgres(started.identity);
    throw error;
  }
  return { ...started, port, url, attached: false };
}

/** The server inherits none of our environment variables, because an SQL superuser could read them. */
function cleanEnv(): NodeJS.ProcessEnv {
  return { PATH: process.env['PATH'], LC_ALL: 'C', TZ: 'UTC' };
}

async function untilReady(
  identity: ProcessIdentity,
  url: string,
  { dir, logFile }: Pick<PostgresOptions, 'dir' | 'logFile'>,
): Promise<void> {
  const deadline = Date.now() + READY_MS;
  for (;;) {
    const problem = await ensureDatabase(url);
    if (problem === undefined) return;
    if (!isAlive(identity)) {
      throw new LonghaulError('service_unreachable', `Postgres ended while starting. ${logFile} ends with:\n${await lastLines(logFile)}`); // prettier-ignore
    }
    if (Date.now() > deadline || isRefusal(problem)) {
      const file = passwordFileOf(dir);
      const advice = isWrongPassword(problem)
        ? `Restore ${file}, or set a new password: longhaul down && rm ${file} && longhaul up -d`
        : `See ${logFile}.`;
      throw new LonghaulError('service_unreachable', `Postgres runs (pid ${identity.pid}) but cannot be used: ${problem.message}. ${advice}`, { cause: problem }); // prettier-ignore
    }
    await sleep(READY_POLL_MS);
  }
}

const isWrongPassword = (error: Error): boolean => 'code' in error && error.code === '28P01';
/**
 * Whether Postgres refused the connection for a reason that a retry cannot change: a wrong password, or a missing role
 * (28000).
 */
const isRefusal = (error: Error): boolean => isWrongPassword(error) || ('code' in error && error.code === '28000');

/** Connects and creates our database if it is missing. Returns the error if that is not possible now. */
async function ensureDatabase(url: string): Promise<Error | undefined> {
  const admin = new URL(url);
  admin.pathname = '/postgres';
  const sql = postgres(admin.href, { max: 1, connect_timeout: 5, onnotice: () => {} });
  try {
    const found = await sql`SELECT 1 FROM pg_database WHERE datname = ${DATABASE}`;
    if (found.length === 0) await sql`CREATE DATABASE ${sql(DATABASE)}`;
    return undefined;
  } catch (error) {
    // 42P04: another process has created the database meanwhile.
    if (error instanceof Error && 'code' in error && error.code === '42P04') return undefined;
    return error instanceof Error ? error : new Error(String(error));
  } finally {
    await sql.end({ timeout: 1 });
  }
}
