/**
 * Finds the worktrees of tasks that are not open. Before a worktree is removed, edits that are in no commit are stored
 * under a ref. If they cannot be stored, the worktree stays.
 */
import { readdir, realpath } from 'node:fs/promises';
import path from 'node:path';
import { findTasks } from '../../store/left-tasks.ts';
import type { Sql } from '../../store/sql.ts';
import { openSessions } from '../../store/sessions.ts';
import { newestTaskAt } from '../../store/task-worktrees.ts';
import { head } from '../../contract/cut-text.ts';
import type { SessionId } from '../../contract/ids.ts';
import { LonghaulError } from '../../contract/errors.ts';
import { listRecords, type WorktreeRecord } from '../../worktrees/records.ts';
import { listMirrors } from '../../worktrees/mirror.ts';
import { commonDirOf, orAbsent } from '../../worktrees/repository.ts';
import { findLeftEntries, type FindLeftEntries, removeLeftEntry } from '../../worktrees/leftovers.ts';
import { leftRef } from '../../worktrees/park.ts';
import { makeWorktrees, type Worktrees } from '../../worktrees/worktrees.ts';
import { sessionOf } from '../parked/parked-worktrees.ts';
import { type GcOptions, HOUR_MS, type Leftover, REMOVED, type Removal } from './leftover.ts';
import { reasonOf, taskLabel, type TaskKnowledge, type KnownTask, findTaskStates } from './task-states.ts';

export interface WorktreePaths {
  readonly locksDir: string;
  /** Real path of the folder that contains the home's worktrees. */
  readonly root: string;
}

export async function worktreePathsOf(home: string): Promise<WorktreePaths> {
  const real = (await orAbsent(realpath(home))) ?? home;
  return { locksDir: path.join(home, 'locks'), root: path.join(real, 'worktrees') };
}

export async function findLeftoverWorktrees(
  places: WorktreePaths,
  knowledge: TaskKnowledge,
  options: GcOptions,
): Promise<Leftover[]> {
  const worktrees = makeWorktrees(places);
  const folders = ((await orAbsent(readdir(places.root))) ?? []).map((name) => path.join(places.root, name));
  const records = await listRecords(places.locksDir);
  const where = await findTaskStates(knowledge, new Set(records.flatMap(({ owner }) => owner ?? [])));
  const sessions = records.filter(isParked).flatMap(({ worktreePath }) => sessionOf(worktreePath) ?? []);
  const open = await openSessions(knowledge.sql, sessions);
  const left = records.flatMap((record) => {
    const task = record.owner === undefined ? undefined : where.get(record.owner);
    if (task?.kind === 'at_work') return [];
    if (isParked(record)) return parkedWorktree(worktrees, record, open);
    return [leftWorktree(worktrees, record, task, options)];
  });
  const known = new Set(records.flatMap(({ worktreePath }) => [worktreePath, `${worktreePath}.nested-git`]));
  const strange = folders.filter((folder) => !known.has(folder));
  return [
    ...left,
    ...(await Promise.all(strange.map((folder) => strangeFolder(knowledge.sql, places, folder)))).flat(),
  ];
}

const isParked = ({ state }: WorktreeRecord): boolean => state === 'parked';

/**
 * Returns the leftover for a parked worktree whose session was closed or removed. The worker removes the other parked
 * worktrees when they exceed the limits.
 */
function parkedWorktree(
  worktrees: Worktrees,
  { worktreePath }: WorktreeRecord,
  open: ReadonlySet<SessionId>,
): Leftover[] {
  const session = sessionOf(worktreePath);
  if (session !== undefined && open.has(session)) return [];
  const remove = async (): Promise<Removal> => {
    const removed = await worktrees.removeParked({ worktreePath });
    if (typeof removed === 'object') return { kind: 'kept', why: removed.kept };
    return removed === 'removed' ? REMOVED : { kind: 'kept', why: 'a task uses it again' };
  };
  return [{ kind: 'worktree', name: worktreePath, reason: 'parked for a session that was closed or removed', remove }];
}

function leftWorktree(
  worktrees: Worktrees,
  record: WorktreeRecord,
  where: Exclude<KnownTask, { kind: 'at_work' }> | undefined,
  { removeKept }: GcOptions,
): Leftover {
  const { worktreePath, owner } = record;
  const reason = owner && where ? reasonOf(owner, where) : 'made for no task';
  const task = where?.kind === 'ended' ? where.task : undefined;
  const wasKept = task?.kept_worktree === worktreePath;
  const base = { kind: 'worktree' as const, name: worktreePath, reason };
  const remove = async (): Promise<Removal> => {
    if (removeKept || record.state !== 'ready') {
      await worktrees.remove({ worktreePath, ...(owner && { owner }) });
      return REMOVED;
    }
    return storeAndRemove(worktrees, record, task?.input);
  };
  if (!wasKept || removeKept) return { ...base, remove };
  const why =
    /The worktree was kept at \S+: (.*)$/s.exec(task?.output_summary ?? '')?.[1] ?? 'its work is in no commit';
  return { ...base, kept: `${why} (--kept removes it)`, remove };
}

/**
 * Stores the worktree's edits and then removes the worktree. The edits get a ref of their own, because the task's
 * change may name the commit to which the task's ref points.
 */
async function storeAndRemove(
  worktrees: Worktrees,
  record: WorktreeRecord,
  input: string | undefined,
): Promise<Removal> {
  const { worktreePath, base, owner } = record;
  const ref = leftRef(owner, worktreePath);
  const message =
    head(input?.trim().split('\n', 1)[0] ?? '', 200) || `What ${owner ? taskLabel(owner) : 'a task'} left`;
  const same = { worktreePath, ...(owner && { owner }) };
  const gone = (await orAbsent(readdir(worktreePath))) === undefined;
  const stored = gone ? undefined : await worktrees.collect({ ...same, base, ref, message }).catch(asKept);
  if (stored?.kind === 'kept') return { kind: 'kept', why: `${stored.reason} (--kept removes it)` };
  await worktrees.remove(same);
  return stored?.kind === 'changed'
    ? { kind: 'removed', note: `its content is stored as ${ref} in ${record.commonDir}` }
    : REMOVED;
}

/**
 * Returns that the worktree was kept, because its edits could not be stored. Edits cannot be stored if the worktree's
 * repository does not exist, or if git no longer has the worktree's entry.
 */
function asKept(error: unknown): { kind: 'kept'; reason: string } {
  if (error instanceof LonghaulError) return { kind: 'kept', reason: error.message };
  throw error;
}

/**
 * Returns the leftover for a folder among the worktrees that has no record. Such a folder is never changed, because its
 * content is unknown.
 */
async function strangeFolder(sql: Sql, { root, locksDir }: WorktreePaths, folder: string): Promise<Leftover[]> {
  // The record may have been written after the caller read the records.
  if ((await listRecords(locksDir)).some((record) => record.worktreePath === folder)) return [];
  const id = await newestTaskAt(sql, folder);
  const [task] = id ? await findTasks(sql, [id]) : [];
  const kept = `no record names its project: check its content and remove it by hand`;
  const reason = task ? `${taskLabel(task.id)} once had it` : `in ${root}, but no worktree of ours`;
  return [{ kind: 'worktree', name: folder, reason, kept, remove: async () => ({ kind: 'kept', why: kept }) }];
}

/**
 * Returns the project's git common directory. Returns undefined if the project does not exist or cannot be read now.
 */
function commonDirOrNone(project: string): string | undefined {
  try {
    return commonDirOf(project);
  } catch {
    return undefined;
  }
}

/** Lists the git common directories of the repositories in which tasks have worked, if they exist. */
export async function repositoriesOf(places: WorktreePaths, projects: readonly string[]): Promise<string[]> {
  const fromRecords = (await listRecords(places.locksDir)).map((record) => record.commonDir);
  const fromProjects = projects.map(commonDirOrNone);
  const all = new Set(
    [...fromRecords, ...fromProjects, ...listMirrors(places.locksDir)].filter((dir) => dir !== undefined),
  );
  const there = await Promise.all([...all].map(async (dir) => ((await orAbsent(readdir(dir))) ? [dir] : [])));
  return there.flat().sort();
}

/** Finds git's entries for worktrees that no longer exist, and incomplete entries that are older than an hour. */
export async function findLeftoverEntries(places: WorktreePaths, repositories: readonly string[]): Promise<Leftover[]> {
  const left: Leftover[] = [];
  for (const commonDir of repositories) {
    const find: FindLeftEntries = { commonDir, root: places.root, olderThanMs: HOUR_MS };
    const entries = await findLeftEntries(find);
    const known = new Set((await listRecords(places.locksDir)).map((record) => record.worktreePath));
    for (const entry of entries.filter((one) => one.worktreePath === undefined || !known.has(one.worktreePath))) {
      const reason =
        entry.kind === 'lost'
          ? "git's entry for a worktree that no longer exists"
          : 'incomplete, and older than an hour';
      const remove = async (): Promise<Removal> => {
        await removeLeftEntry(places.locksDir, find, entry);
        return REMOVED;
      };
      left.push({ kind: 'entry', name: entry.path, reason, remove });
    }
  }
  return left;
}
