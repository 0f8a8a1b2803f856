/**
 * Step 4, diff worktree: stores the agent's files as a commit, and the diff in a table that the next step reads. The
 * step first ends the agent's processes and all attempts, so that the commit has all files.
 */
import { endTaskProcesses } from '../agents/process/end.ts';
import { exists } from '../processes/exists.ts';
import { endAttempts } from '../store/attempts.ts';
import { hasDiff, storeDiff } from '../store/collected-diffs.ts';
import { lockTaskToCollect, type TaskToCollect } from '../store/task-worktrees.ts';
import { enterCollecting } from '../store/tasks.ts';
import type { TaskId } from '../contract/ids.ts';
import type { CollectedDiff, StepInput } from '../contract/steps.ts';
import { isFinal } from '../contract/task.ts';
import { head } from '../contract/cut-text.ts';
import type { CollectOutcome } from '../worktrees/collect.ts';
import { replacedError } from '../worktrees/identity.ts';
import { taskRef } from '../worktrees/worktrees.ts';
import { appendWarnings } from './append-warnings.ts';
import { storeRecordings } from './store-recordings.ts';
import { type StepDeps, withHeartbeat } from './step.ts';

/** The worktree to collect. A task whose row was deleted has no state. */
type TaskWorktree = Omit<TaskToCollect, 'state'> & Partial<Pick<TaskToCollect, 'state'>>;

export function makeDiffWorktree(deps: StepDeps) {
  const { sql, turns, worktrees } = deps;
  return async function diffWorktree({ taskId }: StepInput): Promise<CollectedDiff> {
    const row = await beginCollecting(deps, taskId);
    await turns.stop(taskId, 'closing');
    await endTaskProcesses(taskId, { home: deps.env['LONGHAUL_HOME'] });
    await storeRecordings(deps, taskId);
    const place = row ?? (await worktreeWithoutRow(deps, taskId));
    const { worktree_path: worktreePath, base_commit: base } = place ?? {};
    if (!place || !worktreePath || !base || !worktrees.isOwn(worktreePath)) return { kind: 'none' };
    const owner = worktrees.ownerOf(worktreePath);
    const isOthers = owner !== undefined && owner !== taskId;
    if (isOthers || !(await exists(worktreePath))) return missingDiff(deps, place, taskId);
    const found = await withHeartbeat((signal) =>
      worktrees.collect({
        ...(place.project_path ? { projectPath: place.project_path } : {}),
        worktreePath,
        base,
        ref: taskRef(taskId),
        message: titleOf(place.input),
        signal,
      }),
    );
    if (found.kind === 'kept') return keptDiff(found, taskId);
    await warn(deps, place, taskId, found.notes);
    if (found.kind === 'none') return { kind: 'none' };
    // A task without a row has no change to review. The ref of its result keeps the commit.
    if (!row) return { kind: 'none' };
    await storeDiff(sql, taskId, base, found);
    return {
      kind: 'changed',
      commit: found.commit,
      files: found.files.length,
      additions: found.additions,
      deletions: found.deletions,
    };
  };
}

const titleOf = (input: string): string => head(input.trim().split('\n', 1)[0] ?? '', 200);

/** Returns the worktree of a task whose row was deleted while the task ran. */
async function worktreeWithoutRow({ worktrees }: StepDeps, taskId: TaskId): Promise<TaskWorktree | undefined> {
  const owned = await worktrees.findOwned(taskId);
  // A worktree in state `making` is incomplete, so no agent has worked in it.
  if (!owned || owned.state === 'making') return undefined;
  const { worktreePath, base } = owned;
  return {
    session_id: null,
    input: `Task ${taskId}`,
    project_path: null,
    worktree_path: worktreePath,
    base_commit: base,
  };
}

/**
 * Returns the result if the worktree does not exist or belongs to another task. A missing worktree is normal in two
 * cases: an earlier execution of this step completed and Temporal lost its result, or the workflow that settles a task
 * whose run was lost calls the step. In both cases the folder was removed, or belongs to the session's next task. In
 * every other case another program has removed the worktree, so the result says that the edits are lost.
 */
async function missingDiff(deps: StepDeps, place: TaskWorktree, taskId: TaskId): Promise<CollectedDiff> {
  if (place.state !== undefined && isFinal(place.state)) return { kind: 'none' };
  if (await hasDiff(deps.sql, taskId)) return { kind: 'none' };
  const removed = `the worktree's folder ${place.worktree_path} was removed while the task was running`;
  const record = await deps.worktrees.findOwned(taskId);
  // The step remove worktree runs after everything is stored, and marks the record before it deletes the first file. So
  // a record in state `ready` means that another program removed the worktree.
  if (record?.state === 'ready') {
    const { code, message } = replacedError(removed);
    return { kind: 'none', failure: { code, message } };
  }
  await warn(deps, place, taskId, [
    `The worktree ${place.worktree_path} does not exist: the agent's edits in it were not collected.`,
  ]);
  return { kind: 'none' };
}

function keptDiff(kept: Extract<CollectOutcome, { kind: 'kept' }>, taskId: TaskId): CollectedDiff {
  const { reason, commit } = kept;
  if (kept.replaced) {
    const { code, message } = replacedError(reason);
    return {
      kind: 'kept',
      reason: 'the folder is not the one that was made for the task.',
      failure: { code, message },
    };
  }
  const ref = taskRef(taskId);
  if (!commit || reason.includes(ref)) return { kind: 'kept', reason };
  return { kind: 'kept', reason: `${reason}${/[.!?]$/.test(reason) ? '' : '.'} The stored part is ${ref}.` };
}

async function warn({ sql }: StepDeps, place: TaskWorktree, taskId: TaskId, notes: readonly string[]): Promise<void> {
  const sessionId = place.session_id;
  if (sessionId) await appendWarnings(sql, { sessionId, taskId, kind: 'diff-note' }, notes);
}

/**
 * Changes the task to the phase collecting and returns its worktree. A worktree that exists is collected even if
 * another program changed the row meanwhile. Undefined: the row was deleted.
 */
async function beginCollecting({ sql }: StepDeps, taskId: TaskId): Promise<TaskWorktree | undefined> {
  return sql.begin(async (tx) => {
    const place = await lockTaskToCollect(tx, taskId);
    if (!place) return undefined;
    if (place.session_id) await endAttempts(tx, taskId, place.session_id);
    // If the task has ended meanwhile, this transition changes nothing (it is superseded). The worktree is collected
    // nevertheless.
    await enterCollecting(tx, taskId);
    return place;
  });
}
