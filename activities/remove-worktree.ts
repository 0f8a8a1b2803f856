/**
 * Step 6, remove worktree: parks the task's worktree for the next task of the session, or removes it. The workflow
 * schedules the step only after the worktree's files are stored as a commit. If this step fails, the task does not
 * fail, because `longhaul gc` finds the folder by its path.
 */
import { findTaskToClean, type TaskToClean } from '../store/task-worktrees.ts';
import { enterCleaning } from '../store/tasks.ts';
import type { TaskId } from '../contract/ids.ts';
import type { RemovedWorktree, StepInput } from '../contract/steps.ts';
import { appendWarnings } from './append-warnings.ts';
import { type StepDeps, withHeartbeat } from './step.ts';
import { removeScratch } from './task-folder.ts';
import { messageOf } from '../contract/errors.ts';

export function makeRemoveWorktree(deps: StepDeps) {
  const { sql, worktrees } = deps;
  return async function removeWorktree({ taskId }: StepInput): Promise<RemovedWorktree> {
    await enterCleaning(sql, taskId);
    const place = await findTaskToClean(sql, taskId);
    // The record of the worktree decides, because it names the task: the session's next task may already have a
    // worktree at the same path.
    const worktreePath = (await worktrees.findOwned(taskId))?.worktreePath ?? unrecorded(place, worktrees);
    if (!worktreePath) {
      const sessionId = place?.session_id;
      if (sessionId && place.worktree_path === null) removeScratch({ worktreesDir: deps.worktreesDir, sessionId });
      return { removed: false };
    }
    if (place !== undefined && (await parks(deps, { taskId, worktreePath }))) return { removed: false, parked: true };
    try {
      const projectPath = place?.project_path ? { projectPath: place.project_path } : {};
      return await withHeartbeat((signal) => worktrees.remove({ ...projectPath, worktreePath, signal }));
    } catch (error) {
      const warning = `The worktree ${worktreePath} could not be removed: ${messageOf(error)}`;
      const sessionId = place?.session_id;
      if (sessionId) await appendWarnings(sql, { sessionId, taskId, kind: 'remove-warning' }, [warning]);
      throw error;
    }
  };
}

/**
 * Parks the worktree. Returns false if the worktree must be removed, because it cannot be parked or the settings allow
 * no parked worktrees.
 */
async function parks(
  { worktrees, parking, log }: StepDeps,
  { taskId, worktreePath }: { taskId: TaskId; worktreePath: string },
): Promise<boolean> {
  if (!parking.areKept) return false;
  try {
    const isParked = await withHeartbeat((signal) => worktrees.park({ worktreePath, owner: taskId, signal }));
    if (isParked) parking.notify();
    return isParked;
  } catch (error) {
    // Worktrees in many states cannot be parked. So the error is only logged, and the worktree is removed.
    log.warn({ task_id: taskId, err: error }, 'the worktree could not be parked and is removed');
    return false;
  }
}

/**
 * Returns the path in the task's row if the worktree has no record. A power failure may leave an empty record, if the
 * record was being written at that moment. While the task is open, its row names the worktree.
 */
function unrecorded(place: TaskToClean | undefined, worktrees: StepDeps['worktrees']): string | undefined {
  if (!place?.unended || place.worktree_path === null || !worktrees.isOwn(place.worktree_path)) return undefined;
  return worktrees.ownerOf(place.worktree_path) === undefined ? place.worktree_path : undefined;
}
