/**
 * Chooses the user that Postgres runs as. Postgres refuses to run as root, so for root there are two ways:
 *
 * - an unprivileged account, if it can reach both the programs and the data directory;
 * - otherwise (a home under a 0700 folder such as /root) a user namespace without a mapping: there the effective user
 *   id is the kernel's overflow id, which is not 0, while root's files remain accessible as the owner's.
 *
 * If a data directory exists, its owner decides, because Postgres accepts no other user.
 */
import { execFile } from 'node:child_process';
import { chmod, readFile, stat } from 'node:fs/promises';
import { userInfo } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { isErrno, LonghaulError } from '../../contract/errors.ts';

const run = promisify(execFile);
/** The account without privileges that every Linux system has. */
const ACCOUNT = 'nobody';
const OTHERS_MAY_ENTER = 0o001;

export type PostgresUser =
  | { readonly kind: 'self' }
  | { readonly kind: 'account'; readonly uid: number; readonly gid: number }
  | { readonly kind: 'namespace' };

/**
 * Returns the user that Postgres runs as. If the user is an account that cannot pass through the home's folders, this
 * function first gives the account the right to do so. `dataDir` need not exist, but its parent `dir` must. The parent
 * of `dir` is the home.
 */
export async function choosePostgresUser(dir: string, dataDir: string, program: string): Promise<PostgresUser> {
  const { user, open } = await planPostgresUser(dir, dataDir, program);
  for (const folder of open) await chmod(folder, (await stat(folder)).mode | OTHERS_MAY_ENTER);
  return user;
}

/** Plans the choice without changing anything. `open`: folders that the account must first be allowed to enter. */
export async function planPostgresUser(
  dir: string,
  dataDir: string,
  program: string,
): Promise<{ user: PostgresUser; open: readonly string[] }> {
  if (process.getuid?.() !== 0) {
    if (hasAccount()) return { user: { kind: 'self' }, open: [] };
    // In the namespace the process has the kernel's overflow id, for which /etc/passwd has an entry.
    if (await canUnshare()) return { user: { kind: 'namespace' }, open: [] };
    throw withoutAccount();
  }
  // The owner decides only if the cluster is complete. PG_VERSION exists in a complete cluster only.
  const owner = await ownerOf(join(dataDir, 'PG_VERSION'));
  const account = owner === undefined ? await accountOf(ACCOUNT) : owner.uid === 0 ? undefined : owner;
  const closed = account ? [...(await closedFolders(dirname(program))), ...(await closedFolders(dir))] : undefined;
  if (account && closed?.length === 0) return { user: { kind: 'account', ...account }, open: [] };
  if ((owner === undefined || owner.uid === 0) && (await canUnshare()))
    return { user: { kind: 'namespace' }, open: [] };
  // A container may forbid namespaces. If only our own home is closed to the account, the account gets the right to
  // pass through it.
  if (account && closed?.every((folder) => folder === dir || folder === dirname(dir))) {
    return { user: { kind: 'account', ...account }, open: closed };
  }
  throw new LonghaulError(
    'service_unreachable',
    `Postgres refuses to run as root, and no other way is open: ${ACCOUNT} cannot reach both ${dirname(program)} and ${dir}, and \`unshare -U\` is not permitted. Run as another user, set LONGHAUL_HOME to a folder that others may enter (chmod o+x on each folder above), or set DATABASE_URL.`,
  );
}

/** Whether this process's user has an account. initdb looks up the name of its user and fails if there is none. */
function hasAccount(): boolean {
  try {
    userInfo();
    return true;
  } catch (error) {
    // The errno of getpwuid_r(3) is in the field `info` of Node's error.
    const { info } = error as { readonly info?: { readonly code?: unknown } };
    if (info?.code === 'ENOENT') return false;
    throw error;
  }
}

function withoutAccount(): LonghaulError {
  return new LonghaulError(
    'invalid_input',
    `The embedded Postgres needs an entry in /etc/passwd for the user that runs it, found none for uid ${process.getuid?.() ?? 'unknown'}, and \`unshare -U\` is not permitted here. Add an entry, run as a user that has one, or set DATABASE_URL.`,
  );
}

/** Returns the command line that runs a program as the given user. `uid` and `gid` are for spawn. */
export function commandAsUser(
  user: PostgresUser,
  program: string,
  args: readonly string[],
): { command: string; args: string[]; uid?: number; gid?: number } {
  if (user.kind === 'namespace') return { command: 'unshare', args: ['-U', program, ...args] };
  if (user.kind === 'account') return { command: program, args: [...args], uid: user.uid, gid: user.gid };
  return { command: program, args: [...args] };
}

async function ownerOf(path: string): Promise<{ uid: number; gid: number } | undefined> {
  try {
    const { uid, gid } = await stat(path);
    return { uid, gid };
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return undefined;
    throw error;
  }
}

async function accountOf(name: string): Promise<{ uid: number; gid: number } | undefined> {
  const line = (await readFile('/etc/passwd', 'utf8')).split('\n').find((entry) => entry.startsWith(`${name}:`));
  const [, , uid, gid] = line?.split(':') ?? [];
  return uid === undefined || gid === undefined ? undefined : { uid: Number(uid), gid: Number(gid) };
}

/**
 * Lists the folders on the path that an account without rights here may not enter. Access control lists are not
 * checked.
 */
async function closedFolders(folder: string): Promise<string[]> {
  const closed: string[] = [];
  for (let path = folder; ; path = dirname(path)) {
    const { mode } = await stat(path);
    if ((mode & OTHERS_MAY_ENTER) === 0) closed.push(path);
    if (path === dirname(path)) return closed;
  }
}

async function canUnshare(): Promise<boolean> {
  try {
    await run('unshare', ['-U', 'true'], { cwd: '/' });
    return true;
  } catch {
    // unshare is not installed, or the kernel or a container forbids it. In both cases a namespace cannot be created.
    return false;
  }
}
