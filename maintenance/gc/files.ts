/**
 * Finds files in the home and the cache that a killed process of Longhaul left, or that were not used for a long time.
 */
import { realpathSync } from 'node:fs';
import { lstat, readdir, rm } from 'node:fs/promises';
import path from 'node:path';
import { AGENT_SLOTS, freeStaleSlot, staleSlots } from '../../agents/slots.ts';
import type { HomePaths } from '../../services/home/home.ts';
import { lockHolder } from '../../services/home/lock.ts';
import { isErrno } from '../../contract/errors.ts';
import { releaseStale, staleLocks, withLock } from '../../worktrees/repository-lock.ts';
import { DAY_MS, HOUR_MS, type Leftover, REMOVED } from './leftover.ts';

/** Describes one kind of file: its folder, a pattern for its name, and its minimum age. */
interface Pattern {
  readonly folder: string;
  readonly name: RegExp;
  readonly olderThanMs: number;
  readonly reason: string;
}

function patternsOf(paths: HomePaths, cacheDir: string): Pattern[] {
  const hidden = { name: /^\..+\.[0-9a-f]{8}$/, olderThanMs: HOUR_MS, reason: 'half written' };
  return [
    { folder: paths.run, ...hidden },
    { folder: paths.lock, ...hidden },
    { folder: paths.postgres, ...hidden },
    { folder: paths.temporal, ...hidden },
    { folder: path.join(cacheDir, 'temporal', 'lock'), ...hidden },
    { folder: path.join(paths.home, 'locks'), ...hidden },
    {
      folder: path.join(paths.home, 'locks'),
      name: /\.new$/,
      olderThanMs: HOUR_MS,
      reason: 'half written',
    },
    {
      folder: paths.postgres,
      name: /^data\.new-[0-9a-f]+(\.password)?$/,
      olderThanMs: HOUR_MS,
      reason: 'of an initdb that was killed',
    },
    { folder: paths.logs, name: /\.log\.\d$/, olderThanMs: 30 * DAY_MS, reason: 'an old log, not written for 30 days' },
    {
      folder: path.join(cacheDir, 'workflow-bundles'),
      name: /\.js\.\d+$/,
      olderThanMs: HOUR_MS,
      reason: 'half written',
    },
    {
      folder: path.join(cacheDir, 'workflow-bundles'),
      name: /\.js$/,
      olderThanMs: 30 * DAY_MS,
      reason: 'a workflow bundle that no worker has used for 30 days',
    },
  ];
}

export async function findLeftoverFiles(paths: HomePaths, cacheDir: string): Promise<Leftover[]> {
  const found = await Promise.all(patternsOf(paths, cacheDir).map(matching));
  return [
    ...found.flat(),
    ...(await findLeftoverBuilds(cacheDir)),
    ...(await leftLocks(paths)),
    ...findLeftoverSlots(paths),
  ];
}

async function matching({ folder, name, olderThanMs, reason }: Pattern): Promise<Leftover[]> {
  const left: Leftover[] = [];
  for (const entry of (await readdirOrNone(folder)).filter((one) => name.test(one))) {
    const file = path.join(folder, entry);
    if ((await ageMs(file)) > olderThanMs) left.push(fileLeftover(file, reason));
  }
  return left;
}

/**
 * Finds the files that killed builds of Temporal left, up to 3 GB each. A build that is in progress holds the lock;
 * then nothing is returned.
 */
async function findLeftoverBuilds(cacheDir: string): Promise<Leftover[]> {
  const root = path.join(cacheDir, 'temporal');
  if (await lockHolder(path.join(root, 'lock'))) return [];
  const versions = (await readdirOrNone(root)).filter((name) => name !== 'lock');
  const found = versions.map((version) =>
    matching({
      folder: path.join(root, version),
      name: /^\.work-/,
      olderThanMs: HOUR_MS,
      reason: 'of a build of Temporal that was killed',
    }),
  );
  return (await Promise.all(found)).flat();
}

async function leftLocks({ home }: HomePaths): Promise<Leftover[]> {
  const locksDir = path.join(home, 'locks');
  return (await staleLocks(locksDir)).map((file) => ({
    kind: 'lock',
    name: file,
    reason: 'its holder is dead',
    remove: async () => {
      await releaseStale(locksDir, file);
      return REMOVED;
    },
  }));
}

/**
 * Finds the slots of workers that have exited. A running worker removes such slots when it next counts slots. Without a
 * worker they remain.
 */
function findLeftoverSlots({ home, slots }: HomePaths): Leftover[] {
  const lock = { locksDir: path.join(home, 'locks'), subject: AGENT_SLOTS };
  return staleSlots(slots).map(({ name }) => ({
    kind: 'slot',
    name: path.join(slots, name),
    reason: 'its worker is dead',
    remove: async () => {
      await freeStaleSlot(
        { home: realpathSync(home), folder: slots, exclusively: (work) => withLock(lock, work) },
        name,
      );
      return REMOVED;
    },
  }));
}

function fileLeftover(file: string, reason: string): Leftover {
  return {
    kind: 'file',
    name: file,
    reason,
    remove: async () => {
      await rm(file, { recursive: true, force: true });
      return REMOVED;
    },
  };
}

/** Returns the age of the file; 0 if it no longer exists. */
async function ageMs(file: string): Promise<number> {
  try {
    return Date.now() - (await lstat(file)).mtimeMs;
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return 0;
    throw error;
  }
}

async function readdirOrNone(folder: string): Promise<string[]> {
  try {
    return await readdir(folder);
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENOTDIR')) return [];
    throw error;
  }
}
