/**
 * Protects folders against other users of the machine. If a folder of the current user is open to others, Longhaul
 * removes their access. A folder of another user is refused, because that user can replace everything in it.
 *
 * Not covered: access control lists, and parent folders: a user who may rename a parent can put another folder in its
 * place.
 */
import { chmod, readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { isErrno, LonghaulError } from '../../contract/errors.ts';
import { foreignOwnerError, isTrustedOwner } from './private-file.ts';

/**
 * The folders of a home that only its owner may use. Files directly in the home are made readable for their owner only.
 */
const FOLDERS = ['logs', 'run', 'postgres', 'temporal', 'slots', 'locks', 'worktrees'];

const OTHERS = 0o077;
const OTHERS_WRITE = 0o022;
/**
 * The right to pass through the home. Root may run Postgres as an unprivileged account, which must pass through to its
 * own folder.
 */
const OTHERS_PASS = 0o001;

/** Closes the home and its folders to other users. Fails with `invalid_input`. */
export async function restrictHomeToOwner(home: string): Promise<void> {
  const passing = (await isClusterOfOther(home)) ? OTHERS_PASS : 0;
  await close(home, OTHERS & ~passing);
  const there = await readdir(home);
  for (const name of FOLDERS.filter((folder) => there.includes(folder))) {
    await close(join(home, name), name === 'postgres' ? OTHERS & ~passing : OTHERS);
  }
}

/**
 * Refuses a cache folder that other users can write, because Longhaul runs the programs in it. Others may read it.
 * Fails with `invalid_input`.
 */
export async function refuseWritableByOthers(folder: string): Promise<void> {
  await close(folder, OTHERS_WRITE);
}

async function isClusterOfOther(home: string): Promise<boolean> {
  try {
    return (await stat(join(home, 'postgres', 'data'))).uid !== process.getuid?.();
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENOTDIR')) return false;
    throw error;
  }
}

/** Removes `rights` from the folder's mode. */
async function close(folder: string, rights: number): Promise<void> {
  const { uid, mode } = await stat(folder);
  if (!isTrustedOwner(uid)) throw foreignOwnerError(folder, uid);
  if ((mode & rights) === 0) return;
  if (uid === process.getuid?.()) return chmod(folder, mode & 0o7777 & ~rights);
  throw new LonghaulError(
    'invalid_input',
    `${folder}: expected a folder that other users cannot use, found mode ${(mode & 0o7777).toString(8)} and owner root: \`chmod ${rights === OTHERS_WRITE ? 'go-w' : 'go-rwx'}\` it as root, or name another folder.`,
  );
}
