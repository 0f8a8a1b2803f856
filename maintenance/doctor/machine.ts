/** Checks the machine: the programs that Longhaul needs, the home and the cache. */
import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { access, constants, link, rm, stat, statfs, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { pathIfExists, homePaths } from '../../services/home/home.ts';
import { findPostgresBinaries } from '../../services/postgres/binaries.ts';
import { planPostgresUser } from '../../services/postgres/user.ts';
import type { Settings } from '../../services/settings.ts';
import { locateTemporal, findOnPath } from '../../services/temporal/binary.ts';
import { tokenForStart, tokenFileFor } from '../../services/token.ts';
import { isErrno } from '../../contract/errors.ts';
import { type Check, ok, problem, textOf, warning } from './check.ts';

const run = promisify(execFile);
const MIN_NODE = [20, 19] as const;
const MIN_GIT = [2, 39] as const;
const MB = 1024 * 1024;
/** Less free space than this is a problem: Postgres alone needs about 100 MB for its write-ahead log. */
const LOW_BYTES = 200 * MB;
const TIGHT_BYTES = 1024 * MB;

// The file system types of statfs(2) on which data is at risk, with the risk.
const FILE_SYSTEMS: Readonly<Record<number, readonly [name: string, risk: string]>> = {
  0x01021994: ['tmpfs', 'it is in memory, so its content is lost at a restart'],
  0x6969: ['nfs', 'locks do not work between machines'],
  0xff534d42: ['cifs', 'locks do not work between machines'],
  0xfe534d42: ['smb', 'locks do not work between machines'],
};

export async function checkMachine(): Promise<Check[]> {
  return [checkNode(), await checkGit(), await checkProc()];
}

const isAtLeast = (found: readonly number[], wanted: readonly [number, number]): boolean => {
  const [major = 0, minor = 0] = found;
  return major > wanted[0] || (major === wanted[0] && minor >= wanted[1]);
};

function checkNode(): Check {
  const found = process.versions.node;
  if (isAtLeast(found.split('.').map(Number), MIN_NODE)) return ok('node', found);
  return problem('node', `expected ${MIN_NODE.join('.')} or newer, found ${found}`, 'Install a newer Node.js.');
}

async function checkGit(): Promise<Check> {
  const advice = `Install git ${MIN_GIT.join('.')} or newer.`;
  try {
    const { stdout } = await run('git', ['--version']);
    const found = /(\d+)\.(\d+)[.\d]*/.exec(stdout);
    if (found && isAtLeast([Number(found[1]), Number(found[2])], MIN_GIT)) return ok('git', found[0]);
    return problem('git', `expected ${MIN_GIT.join('.')} or newer, found ${stdout.trim()}`, advice);
  } catch (error) {
    return problem('git', isErrno(error, 'ENOENT') ? 'not found on PATH' : textOf(error), advice);
  }
}

async function checkProc(): Promise<Check> {
  const advice = 'Run Longhaul on Linux, with /proc mounted: Longhaul finds the processes of agents through /proc.';
  if (process.platform !== 'linux') return problem('/proc', `not there: this is ${process.platform}`, advice);
  return access('/proc/self/environ', constants.R_OK).then(
    () => ok('/proc', 'readable'),
    (error: unknown) => problem('/proc', textOf(error), advice),
  );
}

export async function checkFolders(settings: Settings): Promise<Check[]> {
  const home = await checkFolder('home', settings.home, 'Set LONGHAUL_HOME to a folder that you may write.');
  return [
    home,
    await checkFolder('cache', settings.cacheDir, 'Set LONGHAUL_CACHE to a folder that you may write.'),
    // A home that is not a folder contains no token, so the token is not checked.
    ...(home.level === 'problem' && settings.tokenFile === undefined ? [] : [await checkToken(settings)]),
  ];
}

async function checkToken(settings: Settings): Promise<Check> {
  const file = tokenFileFor(settings);
  try {
    const token = await tokenForStart(settings);
    return ok('token', `${file}${token === undefined ? ' (is made at the first start)' : ''}`);
  } catch (error) {
    const makesNew = settings.tokenFile === undefined && (await pathIfExists(file)) !== null;
    const advice = makesNew
      ? 'Remove it, and the next start makes a new one.'
      : `\`openssl rand -hex 32 > ${file}\` puts one there.`;
    return problem('token', textOf(error), `${advice} The backend does not start until then.`);
  }
}

async function checkFolder(name: string, folder: string, advice: string): Promise<Check> {
  try {
    const there = await nearestFolder(folder);
    if (there === folder) await tryWriting(folder);
    else await access(there, constants.W_OK);
    const { type, bavail, bsize } = await statfs(there);
    const free = bavail * bsize;
    const shown = `${folder}${there === folder ? '' : ' (is made at the first start)'}, ${bytes(free)} free`;
    if (free < LOW_BYTES)
      return problem(name, shown, `Free some space: at least ${bytes(TIGHT_BYTES)} is recommended.`);
    const [fileSystem, risk] = (name === 'home' && FILE_SYSTEMS[type]) || [];
    if (fileSystem)
      return warning(name, `${shown}, on ${fileSystem}: ${risk ?? ''}`, 'Set LONGHAUL_HOME to a local disk.');
    if (free < TIGHT_BYTES)
      return warning(name, shown, `Free some space: at least ${bytes(TIGHT_BYTES)} is recommended.`);
    return ok(name, shown);
  } catch (error) {
    if (isErrno(error, 'ENOSPC', 'EDQUOT')) return problem(name, `${folder}: the disk is full`, 'Free some space.');
    return problem(name, `${folder}: expected a folder that can be written, found: ${textOf(error)}`, advice);
  }
}

/** Returns the folder, or its nearest parent that exists. */
async function nearestFolder(folder: string): Promise<string> {
  try {
    if ((await stat(folder)).isDirectory()) return folder;
  } catch (error) {
    if (!isErrno(error, 'ENOENT')) throw error;
    return nearestFolder(dirname(folder));
  }
  throw new Error(`${folder} is not a folder`);
}

/** Creates a file and a hard link to it, because Longhaul's locks need a file system that supports both. */
async function tryWriting(folder: string): Promise<void> {
  const file = join(folder, `.doctor-${randomUUID()}`);
  try {
    await writeFile(file, 'x'.repeat(4096));
    await link(file, `${file}.link`);
  } finally {
    await rm(file, { force: true });
    await rm(`${file}.link`, { force: true });
  }
}

function bytes(count: number): string {
  return count < 1024 * MB ? `${Math.floor(count / MB)} MB` : `${(count / (1024 * MB)).toFixed(1)} GB`;
}

export async function checkPrograms(settings: Settings, path: string): Promise<Check[]> {
  const checks: Check[] = [];
  if (settings.databaseUrl === undefined) checks.push(await checkPostgres(settings));
  if (settings.temporal.kind === 'embedded') checks.push(await checkTemporalProgram(settings.cacheDir, path));
  return checks;
}

async function checkPostgres({ home }: Settings): Promise<Check> {
  const name = 'postgres program';
  try {
    const { postgres } = await findPostgresBinaries();
    const { postgres: dir } = homePaths(home);
    const { user } = await planPostgresUser(await nearestFolder(dir), join(dir, 'data'), postgres);
    const as = { self: 'as you', account: 'as an account without rights', namespace: 'in a user namespace' }[user.kind];
    return ok(name, `${postgres}, run ${as}`);
  } catch (error) {
    return problem(name, textOf(error), 'Or set DATABASE_URL to a Postgres 15 or newer of yours.');
  }
}

async function checkTemporalProgram(cacheDir: string, path: string): Promise<Check> {
  const name = 'temporal program';
  const found = await locateTemporal(cacheDir, path);
  if (found) return ok(name, found);
  const go = await findOnPath('go', path);
  if (go)
    return ok(
      name,
      `not there yet: the first start downloads it, or builds it with ${go} (some minutes, 3 GB meanwhile)`,
    );
  return warning(
    name,
    'not there yet: the first start downloads it; there is no Go to build it with',
    'Without a network, install the Temporal CLI or Go, or set TEMPORAL_ADDRESS.',
  );
}
