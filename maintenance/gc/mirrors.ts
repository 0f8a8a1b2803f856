/**
 * Finds mirrors that are no longer needed, that are damaged, or that use much disk space in addition to their project.
 *
 * Must never happen: a mirror is removed while a worktree borrows objects from it, while it has a result (gc/refs.ts
 * lists results), or while a row names its project. The last condition holds even if the project does not exist,
 * because its disk may only be unplugged.
 */
import { lstat } from 'node:fs/promises';
import path from 'node:path';
import { removeTree } from '../../worktrees/clear.ts';
import { tryGit } from '../../worktrees/git.ts';
import { mirrorDamage } from '../../worktrees/mirror-damage.ts';
import { ensureMirror, listMirrors, readState } from '../../worktrees/mirror.ts';
import { inspect, listEntries, orAbsent } from '../../worktrees/repository.ts';
import { withLock } from '../../worktrees/repository-lock.ts';
import { mirrorDisk, TRIM_ABOVE_BYTES, trimMirror } from '../../worktrees/trim-mirror.ts';
import { sizeText } from '../size-text.ts';
import { type Leftover, REMOVED } from './leftover.ts';
import type { WorktreePaths } from './worktrees.ts';

export async function findLeftoverMirrors(
  { locksDir }: WorktreePaths,
  projects: readonly string[],
  trimAboveBytes: number = TRIM_ABOVE_BYTES,
): Promise<Leftover[]> {
  const left: Leftover[] = [];
  for (const mirror of listMirrors(locksDir)) {
    const reason = await needlessBecause(mirror, projects);
    if (reason !== undefined) left.push(removal(locksDir, mirror, { reason, projects }));
    else {
      const damage = await mirrorDamage(mirror);
      if (damage !== undefined) left.push(await repair(locksDir, mirror, damage));
      else if (mirrorDisk(mirror).formerBytes > trimAboveBytes) left.push(trimming(locksDir, mirror));
    }
  }
  return left;
}

function removal(
  locksDir: string,
  mirror: string,
  { reason, projects }: { reason: string; projects: readonly string[] },
): Leftover {
  return {
    kind: 'mirror',
    name: mirror,
    reason,
    remove: () =>
      withLock({ locksDir, subject: mirror }, async () => {
        if ((await needlessBecause(mirror, projects)) === undefined)
          return { kind: 'kept', why: 'a task has begun to use it' };
        await removeTree(mirror);
        return REMOVED;
      }),
  };
}

async function repair(locksDir: string, mirror: string, reason: string): Promise<Leftover> {
  const project = readState(mirror)?.commonDir;
  const repository = project && (await inspect(path.dirname(project)).catch(() => undefined));
  const leftover = { kind: 'mirror' as const, name: mirror, reason };
  if (!repository || repository.commonDir !== project) {
    const kept = `${project ?? 'its project'} cannot be read now: the next task of the project repairs the mirror`;
    return { ...leftover, kept, remove: async () => ({ kind: 'kept', why: kept }) };
  }
  return {
    ...leftover,
    remove: async () => {
      await ensureMirror({ locksDir, repository, because: 'damaged' });
      const still = await mirrorDamage(mirror);
      if (still === undefined) return { kind: 'removed', note: 'the mirror is repaired' };
      return { kind: 'kept', why: `repaired from the project, which lacks the rest: ${still}` };
    },
  };
}

function trimming(locksDir: string, mirror: string): Leftover {
  const { formerBytes } = mirrorDisk(mirror);
  return {
    kind: 'mirror',
    name: mirror,
    reason: `${sizeText(formerBytes)} of packs that a git gc of its project has replaced`,
    remove: async () => ({ kind: 'removed', note: `${sizeText(await trimMirror(locksDir, mirror))} are free again` }),
  };
}

/**
 * Returns whether the mirror has results. Returns true also if git cannot list them, because the mirror is then
 * damaged, and a person may repair it.
 */
async function hasResults(mirror: string): Promise<boolean> {
  const listed = await tryGit(['for-each-ref', '--count=1', 'refs/longhaul/'], { cwd: mirror });
  return listed.exitCode !== 0 || listed.stdout.length > 0;
}

/**
 * Returns why no task needs the mirror. Returns undefined if a task may need it, or if its state file does not name its
 * project.
 */
async function needlessBecause(mirror: string, projects: readonly string[]): Promise<string | undefined> {
  const project = readState(mirror)?.commonDir;
  if (project === undefined || listEntries(mirror).length > 0 || (await hasResults(mirror))) return undefined;
  // The folder that a project row names may also be a folder within the repository.
  const checkout = path.dirname(project);
  if (projects.some((folder) => `${project}/`.startsWith(`${folder}/`) || `${folder}/`.startsWith(`${checkout}/`)))
    return undefined;
  const isThere = (await orAbsent(lstat(project))) !== undefined;
  return isThere
    ? `no project names ${checkout}, and no result is in it`
    : `its project ${project} no longer exists, and no result is in it`;
}
