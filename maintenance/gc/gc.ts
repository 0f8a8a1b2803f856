/**
 * Garbage collection of a home: finds and removes what remained after processes, rows or files were lost. It may run
 * while tasks run, because it removes a leftover only if no row, attempt or run shows that its task is open, and under
 * the same locks as the steps. Must never happen: the collection removes a file, ref or process of another home.
 */
import { exists } from '../../processes/exists.ts';
import { homePaths } from '../../services/home/home.ts';
import { takeLock } from '../../services/home/lock.ts';
import type { Settings } from '../../services/settings.ts';
import { projectPaths } from '../../store/left-tasks.ts';
import { LonghaulError, messageOf } from '../../contract/errors.ts';
import path from 'node:path';
import { findLeftoverFiles } from './files.ts';
import { findLeftoverMirrors } from './mirrors.ts';
import type { GcOptions, Leftover } from './leftover.ts';
import { findLeftoverProcesses } from './processes.ts';
import { findLeftoverRecordings } from './recordings.ts';
import { findLeftoverRefs } from './refs.ts';
import type { TaskKnowledge } from './task-states.ts';
import { findLeftoverEntries, findLeftoverWorktrees, worktreePathsOf, repositoriesOf } from './worktrees.ts';

export interface FoundLeftovers {
  readonly leftovers: readonly Leftover[];
  /** What could not be examined, with the reasons. */
  readonly skipped: readonly string[];
}

/**
 * Finds leftovers without changing anything. If the services are unavailable, `knowledge` is undefined, and only files
 * are examined.
 */
export async function findLeftovers(
  settings: Settings,
  knowledge: TaskKnowledge | undefined,
  options: GcOptions,
): Promise<FoundLeftovers> {
  const files = await findLeftoverFiles(homePaths(settings.home), settings.cacheDir);
  const services =
    'worktrees, refs, recordings and processes: their tasks are known only while the services run (longhaul up -d)';
  if (!knowledge) return { leftovers: files, skipped: [services] };
  const places = await worktreePathsOf(settings.home);
  const skipped: string[] = [];
  const attempt = async (what: string, find: () => Promise<Leftover[]>): Promise<Leftover[]> => {
    try {
      return await find();
    } catch (error) {
      skipped.push(`${what}: ${messageOf(error)}`);
      return [];
    }
  };
  const processes = await attempt('processes', () => findLeftoverProcesses(settings.home, knowledge));
  const worktrees = await attempt('worktrees', () => findLeftoverWorktrees(places, knowledge, options));
  const recordings = await attempt('recordings', () => findLeftoverRecordings(settings, knowledge));
  const { sql } = knowledge;
  const inRepositories = await attempt('repositories', async () => {
    const projects = await projectPaths(sql);
    const repositories = await repositoriesOf(places, projects);
    const entries = await findLeftoverEntries(places, repositories);
    const refs: Leftover[] = [];
    // Each repository is examined on its own, so that a damaged one does not prevent the examination of the others.
    for (const one of repositories)
      refs.push(...(await attempt(one, () => findLeftoverRefs(places, { sql, repositories: [one] }, options))));
    return [...entries, ...refs, ...(await findLeftoverMirrors(places, projects))];
  });
  // Processes are removed first, because a process may still write into a worktree that is removed next.
  return { leftovers: [...processes, ...worktrees, ...inRepositories, ...recordings, ...files], skipped };
}

/** One leftover after its removal, as `longhaul gc --json` prints it. */
export interface HandledLeftover {
  readonly kind: Leftover['kind'];
  readonly name: string;
  readonly reason: string;
  readonly outcome: 'removed' | 'would_remove' | 'kept' | 'failed';
  readonly detail: string | null;
}

/**
 * Removes the leftovers one after the other, and yields each one after its removal. If a removal fails, the remaining
 * leftovers are still removed.
 */
export async function* removeLeftovers(leftovers: readonly Leftover[]): AsyncGenerator<HandledLeftover> {
  for (const leftover of leftovers) {
    const { kind, name, reason, kept } = leftover;
    const thing = { kind, name, reason };
    if (kept !== undefined) {
      yield { ...thing, outcome: 'kept', detail: kept };
      continue;
    }
    try {
      const removal = await leftover.remove();
      if (removal.kind === 'kept') yield { ...thing, outcome: 'kept', detail: removal.why };
      else yield { ...thing, outcome: 'removed', detail: removal.note ?? null };
    } catch (error) {
      yield { ...thing, outcome: 'failed', detail: messageOf(error) };
    }
  }
}

/** Returns what `longhaul gc --dry-run` reports of the leftover. Removes nothing. */
export function plannedRemoval({ kind, name, reason, kept }: Leftover): HandledLeftover {
  return { kind, name, reason, outcome: kept === undefined ? 'would_remove' : 'kept', detail: kept ?? null };
}

/**
 * Runs `work` under the home's lock for garbage collection. Fails if another process holds the lock. If the home does
 * not exist, it runs `work` without the lock, because the lock's file would create the home.
 */
export async function withGcLock<T>(home: string, work: () => Promise<T>): Promise<T> {
  if (!(await exists(home))) return work();
  const lock = await takeLock(path.join(homePaths(home).run, 'gc.lock'));
  if (lock.kind === 'busy') {
    const { pid } = lock.holder;
    throw new LonghaulError(
      'invalid_input',
      `Process ${pid} is collecting garbage in ${home} already: wait for its end.`,
    );
  }
  try {
    return await work();
  } finally {
    await lock.release();
  }
}
