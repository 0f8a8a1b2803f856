/**
 * A lock that a process holds: a folder in which every contender announces itself in a file of its own and then reads
 * the files of the others. The file of a dead holder does not count, and the next contender removes it.
 *
 * The file's name identifies its contender: its process, its role, and the folder of the lock by device and inode. So a
 * file that was emptied or overwritten still names its holder, and a file in a copy of the folder names none.
 *
 * Must never happen: two holders. Each contender announces itself before it reads the other files, so of two concurrent
 * contenders at least one finds the other and withdraws. A file belongs to one contender only, so the removal of a dead
 * contender's file cannot remove the file of a newer holder. If a holder's file was removed by hand, the holder writes
 * it again, or gives up if another process holds the lock by then: for at most a second both processes may hold the
 * lock. Not covered: a folder shared between machines.
 */
import { randomBytes, randomInt } from 'node:crypto';
import { mkdir, readFile, readdir, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import { identifySelf, isAlive, type ProcessIdentity } from '../../processes/identity.ts';
import { identityOfParts, identityNameParts, processIdentitySchema } from '../../processes/process-files.ts';
import { isErrno } from '../../contract/errors.ts';
import { exists } from '../../processes/exists.ts';
import { parseJsonOrUndefined, writeJson } from './json-file.ts';

export interface HeldLock {
  readonly kind: 'held';
  /**
   * Resolves to undefined once the folder that contains the lock folder is removed or `signal` is aborted, and to the
   * holder once another process holds the lock. If only a file or folder of the lock was removed or changed, that file
   * or folder is written again.
   */
  untilLost(signal: AbortSignal): Promise<ProcessIdentity | undefined>;
  release(): Promise<void>;
}

export interface BusyLock {
  readonly kind: 'busy';
  readonly holder: ProcessIdentity;
}

export type LockResult = HeldLock | BusyLock;

/** How long contenders may take to determine which of them holds the lock. */
const CONTEST_MS = 2_000;
const LOST_LOOK_MS = 1_000;

export type LockRole = 'supervisor' | 'other';

const announced = z.object({ process: processIdentitySchema, holds: z.boolean() });
type Announced = z.infer<typeof announced> & {
  /** The role of the holder; `undefined` if a version that did not record roles wrote the file. */
  readonly role: LockRole | undefined;
};

/**
 * Takes the lock for this process, or returns the process that has it. If the file cannot be written, the promise
 * rejects, and this process does not hold the lock.
 */
export async function takeLock(folder: string, role: LockRole = 'other'): Promise<LockResult> {
  const self = identifySelf();
  const token = randomBytes(6).toString('hex');
  const fileNow = async (): Promise<string> => join(folder, nameOf(self, await ensureLockFolder(folder), role, token));
  let mine = await fileNow();
  const deadline = Date.now() + CONTEST_MS;
  for (;;) {
    const before = await liveOther(folder, mine);
    if (before && (before.holds || Date.now() > deadline)) return { kind: 'busy', holder: before.process };
    if (!before) {
      await announce(mine, self, false);
      if (!(await liveOther(folder, mine))) break;
      await rm(mine);
    }
    await sleep(randomInt(5, 50));
  }
  try {
    await announce(mine, self, true);
  } catch (error) {
    // The file of this contender is removed. Otherwise other contenders would wait for it as long as this process is
    // alive.
    await rm(mine, { force: true });
    throw error;
  }
  const writeAgain = async (): Promise<void> => {
    await rm(mine, { recursive: true, force: true });
    mine = await fileNow();
    await announce(mine, self, true);
  };
  return {
    kind: 'held',
    untilLost: (signal) => untilLost({ folder, file: () => mine, writeAgain }, signal),
    release: () => rm(mine, { force: true }),
  };
}

const announce = (file: string, process: ProcessIdentity, holds: boolean): Promise<void> =>
  writeJson(file, { process, holds } satisfies z.infer<typeof announced>);

/**
 * Creates the lock folder if it is missing, and returns its identity. If a file is at the folder's path, the file is
 * removed, because it cannot be a lock.
 */
async function ensureLockFolder(folder: string): Promise<string> {
  const make = (): Promise<unknown> => mkdir(folder, { recursive: true, mode: 0o700 });
  await make().catch(async (error: unknown) => {
    if (!isErrno(error, 'EEXIST')) throw error;
    await rm(folder);
    await make();
  });
  return folderIdOf(folder);
}

const nameOf = (self: ProcessIdentity, place: string, role: LockRole, token: string): string =>
  [...identityNameParts(self), place, role, token].join('+');

interface Holding {
  readonly folder: string;
  readonly file: () => string;
  /** Writes the holder's file again, in the current lock folder, which may be a new folder. */
  readonly writeAgain: () => Promise<void>;
}

async function untilLost(
  { folder, file, writeAgain }: Holding,
  signal: AbortSignal,
): Promise<ProcessIdentity | undefined> {
  while (!signal.aborted) {
    try {
      const other = await liveOther(folder, file());
      if (other?.holds) return other.process;
      if (!(await saysThatItHolds(file()))) {
        if (!(await exists(dirname(folder)))) return undefined;
        await writeAgain();
      }
    } catch {
      // The disk is full or does not respond, so it is not known whether the lock is lost. The next round checks again.
    }
    await sleep(LOST_LOOK_MS, undefined, { signal }).catch(() => undefined);
  }
  return undefined;
}

async function saysThatItHolds(file: string): Promise<boolean> {
  const text = await readOrNone(file);
  return text !== undefined && announced.safeParse(parseJsonOrUndefined(text)).data?.holds === true;
}

/** Returns the process that holds the lock or is about to take it. */
export async function lockHolder(folder: string): Promise<ProcessIdentity | undefined> {
  return (await liveOther(folder, ''))?.process;
}

/**
 * Returns the holder with its role. Returns `undefined` if there is no holder, also while a process is only about to
 * take the lock.
 */
export async function lockHolderWithRole(
  folder: string,
): Promise<{ process: ProcessIdentity; role: LockRole | undefined } | undefined> {
  const found = await liveOther(folder, '');
  return found?.holds ? { process: found.process, role: found.role } : undefined;
}

/** Returns the holder if there is one, otherwise any live contender. */
async function liveOther(folder: string, mine: string): Promise<Announced | undefined> {
  let contender: Announced | undefined;
  for (const name of await readdirOrNone(folder)) {
    const path = join(folder, name);
    if (path === mine || name.startsWith('.')) continue;
    const text = await readOrNone(path);
    if (text === undefined) continue;
    const other = await announcedBy(folder, name, text);
    if (!other || !isAlive(other.process)) await rm(path, { force: true });
    else if (other.holds) return other;
    else contender = other;
  }
  return contender;
}

/** Returns what the file announces; `undefined` if the file announces no process in this folder. */
async function announcedBy(folder: string, name: string, text: string): Promise<Announced | undefined> {
  const said = announced.safeParse(parseJsonOrUndefined(text)).data;
  const [pid, startTime, bootId, place, role] = name.split('+');
  const process = identityOfParts(pid, startTime, bootId);
  if (!process) return said && { ...said, role: undefined };
  if (place !== (await folderIdOf(folder).catch(() => undefined))) return undefined;
  return {
    process,
    // An announcement is written in one step. If it was damaged afterwards, its process counts as the holder.
    holds: said?.holds ?? true,
    role: role === 'supervisor' ? role : 'other',
  };
}

/**
 * Identifies a folder by device and inode. The identity changes when the folder is removed and created again, or
 * copied, but not when it is renamed.
 */
export async function folderIdOf(folder: string): Promise<string> {
  const { dev, ino } = await stat(folder);
  return `${dev}-${ino}`;
}

async function readdirOrNone(folder: string): Promise<string[]> {
  return readdir(folder).catch((error: unknown) => {
    if (isErrno(error, 'ENOENT', 'ENOTDIR')) return [];
    throw error;
  });
}

/**
 * Returns the text; `undefined` if there is no such file. A file that may not be read counts as empty: its name
 * announces its process.
 */
async function readOrNone(path: string): Promise<string | undefined> {
  return readFile(path, 'utf8').catch((error: unknown) => {
    if (isErrno(error, 'ENOENT', 'EISDIR')) return undefined;
    if (isErrno(error, 'EACCES', 'EPERM')) return '';
    throw error;
  });
}
