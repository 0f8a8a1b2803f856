/**
 * Which home a folder is: `home.json` has an id that is made once, and the path that it was last started at. A copy has
 * the id of its original.
 *
 * A home that was moved keeps the paths where it was until a worker has followed (maintenance/moved-home.ts).
 *
 * Never: a copy is started while its original exists. Both databases name the same open tasks, worktrees and results, so
 * both would work in the same folders and end each other's agents. Not covered: a copy on another machine or at the same
 * path in another container, and a copy of a home that was made before there was this file.
 */
import { randomUUID } from 'node:crypto';
import { realpath, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { LonghaulError } from '../../contract/errors.ts';
import { readRecord, writeJson } from './json-file.ts';

const identity = z.object({
  id: z.uuid(),
  path: z.string(),
  /** Paths by which rows, records and git may still name its worktrees. */
  moved_from: z.array(z.string()).optional(),
});

const fileOf = (home: string): string => join(home, 'home.json');

/**
 * Before anything starts in a home, or is written to it. A home that was renamed, or whose original is gone, is the
 * original from here on. Fails with `invalid_input` for a copy.
 */
export async function claimHome(folder: string): Promise<void> {
  const home = await realpath(folder);
  const known = await readRecord(fileOf(home), identity);
  if (known?.path === home) return;
  if (known && (await isOther(home, known))) {
    throw new LonghaulError(
      'invalid_input',
      `${home} is a copy of the home ${known.path}, which still exists: both have the same open tasks and worktrees. Use LONGHAUL_HOME=${known.path}, or remove one of the two, or start with an empty folder.`,
    );
  }
  const from = [...new Set([...(known?.moved_from ?? []), ...(known ? [known.path] : [])])].filter(
    (one) => one !== home,
  );
  await writeJson(fileOf(home), {
    id: known?.id ?? randomUUID(),
    path: home,
    ...(from.length > 0 && { moved_from: from }),
  });
}

/** Where the home was, as long as its worktrees are known by these paths. Empty: in no other place, or there is no record. */
export async function formerPaths(folder: string): Promise<string[]> {
  const known = await readRecord(fileOf(folder), identity);
  if (!known) return [];
  const home = await realpath(folder);
  return [...(known.moved_from ?? []), ...(known.path === home ? [] : [known.path])];
}

/** Once its worktrees are known by the path that it has now. The home is claimed. */
export async function forgetFormerPaths(folder: string): Promise<void> {
  const file = fileOf(await realpath(folder));
  const known = await readRecord(file, identity);
  if (known) await writeJson(file, { id: known.id, path: known.path });
}

/** Whether the recorded path leads to another folder with the same id. */
async function isOther(home: string, { id, path }: z.infer<typeof identity>): Promise<boolean> {
  const there = await readRecord(fileOf(path), identity).catch(() => undefined);
  if (there?.id !== id) return false;
  const [one, other] = await Promise.all([stat(home), stat(path)]);
  return one.dev !== other.dev || one.ino !== other.ino;
}
