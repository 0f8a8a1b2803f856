/**
 * Identifies a home: `home.json` has an id that is created once, and the path at which the home was last started. A
 * copy of a home has the id of its original.
 *
 * A moved home keeps its former paths in `home.json` until a worker has updated rows and records
 * (maintenance/moved-home.ts).
 *
 * Must never happen: a copy is started while its original exists. Both databases contain the same open tasks, worktrees
 * and results, so both homes would work in the same folders and end each other's agents. An original on a disk that is
 * not mounted counts as existing. Not covered: a copy on another machine or at the same path in another container, and
 * a copy of a home that no version with this file has started.
 */
import { randomUUID } from 'node:crypto';
import { realpath, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { z } from 'zod';
import { LonghaulError } from '../../contract/errors.ts';
import { readRecord, writeJson } from './json-file.ts';

const identity = z.object({
  id: z.uuid(),
  path: z.string(),
  /**
   * The inode of the home's folder. A copy of the home has another inode; a renamed or remounted home keeps its inode.
   */
  inode: z.number().optional(),
  /** The mount point of the disk that contains the home's path; absent if that disk is the root file system. */
  mount_point: z.string().optional(),
  /** Former paths of the home. Rows, records and git may still name the home's worktrees by these paths. */
  moved_from: z.array(z.string()).optional(),
});

type Identity = z.infer<typeof identity>;

const fileOf = (home: string): string => join(home, 'home.json');

/**
 * Records the folder as this home. Call it before anything starts in the home or is written into it. A home that was
 * renamed, or whose original no longer exists, becomes the original. Fails with `invalid_input` for a copy.
 */
export async function registerHome(folder: string): Promise<void> {
  const home = await realpath(folder);
  const known = await readRecord(fileOf(home), identity);
  const place = await placeOnDisk(home);
  if (known?.path === home && known.inode === place.inode && known.mount_point === place.mount_point) return;
  if (known && known.path !== home) {
    await refuseWhileUnmounted(home, known, place.inode);
    await refuseCopy(home, known);
  }
  const from = [...new Set([...(known?.moved_from ?? []), ...(known ? [known.path] : [])])].filter(
    (one) => one !== home,
  );
  await writeJson(fileOf(home), {
    id: known?.id ?? randomUUID(),
    path: home,
    ...place,
    ...(from.length > 0 && { moved_from: from }),
  });
}

async function refuseCopy(home: string, known: Identity): Promise<void> {
  if (await isOther(home, known)) {
    throw new LonghaulError(
      'invalid_input',
      `${home} is a copy of the home ${known.path}, which still exists: both have the same open tasks and worktrees. Use LONGHAUL_HOME=${known.path}, or remove one of the two, or start with an empty folder.`,
    );
  }
}

/**
 * Refuses to start while the disk with the recorded path is not mounted, because the original may be on it. The same
 * folder, mounted at another path, may start.
 */
async function refuseWhileUnmounted(
  home: string,
  { path, inode, mount_point: disk }: Identity,
  now: number,
): Promise<void> {
  if (disk === undefined || inode === now || (await isMountPoint(disk))) return;
  throw new LonghaulError(
    'invalid_input',
    `${home} was last started at ${path}, on the disk at ${disk}, which is not mounted now: the home there may still exist, and both would have the same open tasks and worktrees. Mount it and use LONGHAUL_HOME=${path}; or, if that home no longer exists, remove the line "mount_point" from ${fileOf(home)}.`,
  );
}

interface PlaceOnDisk {
  readonly inode: number;
  readonly mount_point?: string;
}

async function placeOnDisk(folder: string): Promise<PlaceOnDisk> {
  const { dev, ino } = await stat(folder);
  let disk = folder;
  while (disk !== '/' && (await stat(dirname(disk))).dev === dev) disk = dirname(disk);
  return { inode: ino, ...(disk !== '/' && { mount_point: disk }) };
}

/** Whether another file system is mounted at the folder. */
async function isMountPoint(folder: string): Promise<boolean> {
  const [own, above] = await Promise.all(
    [stat(folder), stat(dirname(folder))].map((found) => found.catch(() => undefined)),
  );
  return own !== undefined && above !== undefined && own.dev !== above.dev;
}

/**
 * Returns the former paths of the home, as long as rows and records may still contain them. The list is empty if the
 * home was never moved or has no record.
 */
export async function formerPaths(folder: string): Promise<string[]> {
  const known = await readRecord(fileOf(folder), identity);
  if (!known) return [];
  const home = await realpath(folder);
  return [...(known.moved_from ?? []), ...(known.path === home ? [] : [known.path])];
}

/**
 * Removes the former paths from the record. Call it when all rows and records name the worktrees by the home's current
 * path. `registerHome` must have been called before.
 */
export async function forgetFormerPaths(folder: string): Promise<void> {
  const file = fileOf(await realpath(folder));
  const known = await readRecord(file, identity);
  if (!known) return;
  const { moved_from: _former, ...now } = known;
  await writeJson(file, now);
}

/** Whether there is another folder, with the same id, at the recorded path. */
async function isOther(home: string, { id, path }: Identity): Promise<boolean> {
  const there = await readRecord(fileOf(path), identity).catch(() => undefined);
  if (there?.id !== id) return false;
  const [one, other] = await Promise.all([stat(home), stat(path)]);
  return one.dev !== other.dev || one.ino !== other.ino;
}
