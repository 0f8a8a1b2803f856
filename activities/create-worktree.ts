/**
 * Step 2, create worktree: the first step that holds an agent slot at Temporal, so the task begins to run here. If
 * other workers of the host hold all of the host's slots, the step waits until one is free, so that a waiting task has
 * no worktree. The step itself takes none of the host's slots; the turn takes one.
 *
 * A second execution finds the same worktree on the same base, because the task's row keeps the first choice. If the
 * database was copied from another home, the step does not use a worktree path in that home. The turn then starts over
 * in a worktree of this home.
 */
import path from 'node:path';
import { forgetAttempts, forgetOutcome } from '../store/forget-open-turns.ts';
import { refuseOutside } from '../store/project-roots.ts';
import type { Sql, Tx } from '../store/sql.ts';
import { isKeptWorktree, lockTaskToBegin, pendingResults, projectPathOf } from '../store/task-worktrees.ts';
import { begin, storeWorktree } from '../store/tasks.ts';
import { type SessionId, shortId, type TaskId } from '../contract/ids.ts';
import type { CreatedWorktree, StepInput } from '../contract/steps.ts';
import { LonghaulError } from '../contract/errors.ts';
import type { MadeWorktree } from '../worktrees/create.ts';
import { commonDirOf } from '../worktrees/repository.ts';
import type { Worktrees } from '../worktrees/worktrees.ts';
import { appendWarnings } from './append-warnings.ts';
import { type StepDeps, withHeartbeat } from './step.ts';
import { countQueueWait } from './step-metrics.ts';

/**
 * The number of result commits that are tried as a base. The number is limited because each missing commit costs two
 * git processes.
 */
const MAX_BASES = 10;

/** The plan for the worktree. A native task whose project has no path only answers, so it has no worktree. */
type Begun = WorktreePlan | { readonly answersOnly: true; readonly waitedS: number | null };

interface WorktreePlan {
  readonly sessionId: SessionId;
  readonly projectPath: string;
  readonly worktreePath: string;
  /**
   * The commits to start from, the preferred one first. If the repository has none of them, the worktree starts from
   * the project's HEAD.
   */
  readonly bases: readonly string[];
  readonly madeBefore: boolean;
  /** The seconds since the task's row was inserted. Null: an earlier execution of this step began the task. */
  readonly waitedS: number | null;
}

export function makeCreateWorktree(deps: StepDeps) {
  const { sql, worktrees, projectRoots, slots, forceShutdown } = deps;
  return async function createWorktree({ taskId }: StepInput): Promise<CreatedWorktree> {
    if (!slots.hasFreeSlot()) {
      await withHeartbeat(async (signal) => {
        do await slots.untilChange(signal);
        while (!slots.hasFreeSlot());
      });
    }
    if (projectRoots.length > 0) await refuseProjectOutside(sql, taskId, projectRoots);
    const place = await sql.begin((tx) => beginTask(tx, taskId, deps));
    if (place.waitedS !== null) countQueueWait(place.waitedS);
    if ('answersOnly' in place) return {};
    if (await lostFolder(worktrees, taskId)) await forgetOutcome(sql, taskId);
    const made = await withHeartbeat((signal) =>
      makeFrom(worktrees, place, { owner: taskId, signal: AbortSignal.any([signal, forceShutdown]) }),
    );
    // If another program ended the task meanwhile, this transition changes nothing (it is superseded). The dispatch
    // step reads the row again and finds that the task has ended.
    await storeWorktree(sql, { taskId, worktreePath: made.worktreePath, base: made.base });
    await appendWarnings(sql, { sessionId: place.sessionId, taskId, kind: 'worktree-warning' }, made.warnings);
    return { worktree: made.worktreePath, base: made.base };
  };
}

/**
 * Returns whether another program removed the task's worktree while the worktree had files that were not stored. If
 * Longhaul removed the worktree, its record is marked: the step remove worktree runs after everything is stored, and
 * marks the record before it deletes the first file.
 */
async function lostFolder(worktrees: Worktrees, taskId: TaskId): Promise<boolean> {
  const record = await worktrees.findOwned(taskId);
  return record?.state === 'ready' && worktrees.folderAt(record.worktreePath) === 'none';
}

/**
 * Creates the worktree from the first base that the repository has. A base may be missing, because any program may
 * write the hash of a commit that never existed into a row, or may remove a commit.
 */
async function makeFrom(
  worktrees: Worktrees,
  { projectPath, worktreePath, bases, madeBefore }: WorktreePlan,
  request: { owner: TaskId; signal: AbortSignal },
): Promise<MadeWorktree> {
  const missing: string[] = [];
  for (const base of [...bases, undefined]) {
    try {
      const place = { projectPath, worktreePath, madeBefore, ...(base !== undefined && { base }) };
      const made = await worktrees.create({ ...place, ...request });
      return { ...made, warnings: [...withoutThese(missing, base), ...made.warnings] };
    } catch (error) {
      const isGitFailed = error instanceof LonghaulError && error.code === 'git_failed';
      if (base === undefined || madeBefore || !isGitFailed) throw error;
      if (await worktrees.hasCommit(projectPath, base)) throw error;
      missing.push(base);
    }
  }
  throw new LonghaulError('internal_error', `no base for ${worktreePath}`);
}

function withoutThese(missing: readonly string[], base: string | undefined): string[] {
  const from = base === undefined ? "the project's current commit" : `the older result ${base}`;
  return missing.length === 0
    ? []
    : [
        `The repository has no commit ${missing.join(', ')}, which is the result of the session's newest change: the agent starts from ${from}, without the edits of that change.`,
      ];
}

/**
 * Refuses a project outside the configured folders. The check is here because this step is the first that reads the
 * project, any program may insert a project, and the project's repository may lie outside the project's folder.
 */
async function refuseProjectOutside(sql: Sql, taskId: TaskId, roots: readonly string[]): Promise<void> {
  const projectPath = await projectPathOf(sql, taskId);
  if (!projectPath) return;
  await refuseOutside(projectPath, roots);
  const commonDir = commonDirOf(projectPath);
  if (commonDir !== undefined) await refuseOutside(commonDir, roots);
}

async function beginTask(tx: Tx, taskId: TaskId, { worktrees, worktreesDir }: StepDeps): Promise<Begun> {
  const task = await lockTaskToBegin(tx, taskId);
  if (!task) throw new LonghaulError('task_gone', `task ${taskId}: its row or the row of its project was deleted`);
  if (task.state !== 'pending' && task.state !== 'running') {
    throw new LonghaulError('superseded', `task ${taskId} is ${task.state}: expected pending or running`);
  }
  const { session_id: sessionId, worktree_path: named, path: projectPath } = task;
  if (projectPath === null) {
    if (task.execution_path !== 'native') {
      throw new LonghaulError('project_has_no_path', 'Project has no path — cannot create worktree');
    }
    await begin(tx, { taskId, worktreePath: null });
    return { answersOnly: true, waitedS: task.waited_s };
  }
  const isElsewhere = named !== null && !worktrees.isOwn(named);
  if (isElsewhere) await forgetAttempts(tx, [taskId]);
  // A session continues from its newest result, unless that result was rejected or the project already contains it.
  const [worktreePath, bases] = await Promise.all([
    named === null || isElsewhere ? pathFor(tx, { taskId, sessionId, worktrees, worktreesDir }) : named,
    task.base_commit === null ? pendingResults(tx, sessionId, MAX_BASES) : [task.base_commit],
  ]);
  // The row is locked and its state is not final, so no other program can end the task before this transition.
  await begin(tx, { taskId, worktreePath });
  return {
    sessionId,
    projectPath,
    worktreePath,
    bases,
    madeBefore: task.base_commit !== null,
    waitedS: task.waited_s,
  };
}

/**
 * Returns the path of the session's worktree. All tasks of a session have the same path, because agents find their own
 * sessions by the path of their folder. Another path is chosen if the usual path has the kept worktree of an earlier
 * task, or if a worktree was parked at the usual path and another folder has replaced that worktree.
 */
async function pathFor(
  tx: Tx,
  {
    taskId,
    sessionId,
    worktrees,
    worktreesDir,
  }: { taskId: TaskId; sessionId: SessionId; worktrees: Worktrees; worktreesDir: string },
): Promise<string> {
  const usual = path.join(worktreesDir, sessionId);
  const isKept = await isKeptWorktree(tx, sessionId, usual);
  if (!isKept && !worktrees.isParkedReplaced(usual)) return usual;
  return (await worktrees.findParked(sessionId)) ?? `${usual}-${shortId(taskId)}`;
}
