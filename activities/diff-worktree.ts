/**
 * Step 4, diff worktree: stores what the agent left as a commit, and the diff where the next step finds it.
 * Before that nothing of the agent may be alive and no attempt may write: what is collected is what is kept.
 */
import { stat } from 'node:fs/promises';
import { endTask } from '../agents/process/end.ts';
import { appendKeyed } from '../frames/append.ts';
import { endAttempts } from '../store/attempts.ts';
import { storeDiff } from '../store/collected-diffs.ts';
import type { CollectedDiff, SessionId, StepInput, TaskId } from '../workflows/contract.ts';
import { isErrno } from '../workflows/errors.ts';
import type { Collected } from '../worktrees/collect.ts';
import { taskRef } from '../worktrees/worktrees.ts';
import { type StepDeps, withHeartbeat } from './step.ts';

interface Place {
  readonly session_id: SessionId | null;
  readonly input: string;
  readonly project_path: string | null;
  readonly worktree_path: string | null;
  readonly base_commit: string | null;
}

export function makeDiffWorktree(deps: StepDeps) {
  const { sql, turns, worktrees } = deps;
  return async function diffWorktree({ taskId }: StepInput): Promise<CollectedDiff> {
    const place = await beginCollecting(deps, taskId);
    await turns.stop(taskId, 'closing');
    if (!place?.project_path || !place.worktree_path || !place.base_commit) return { kind: 'none' };
    await endTask(taskId);
    const { project_path: projectPath, worktree_path: worktreePath, base_commit: base } = place;
    // A settlement of a run that had come past this step finds nothing to collect.
    if (!(await isThere(worktreePath))) return { kind: 'none' };
    const message = place.input.trim().split('\n', 1)[0]?.slice(0, 200) ?? '';
    const found = await withHeartbeat((signal) =>
      worktrees.collect({ projectPath, worktreePath, base, ref: taskRef(taskId), message, signal }),
    );
    if (found.kind === 'kept') return keptDiff(found, taskId);
    await warn(deps, place, taskId, found.notes);
    if (found.kind === 'none') return { kind: 'none' };
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

function keptDiff({ reason, commit }: Extract<Collected, { kind: 'kept' }>, taskId: TaskId): CollectedDiff {
  return { kind: 'kept', reason: commit ? `${reason} What could be stored is ${taskRef(taskId)}.` : reason };
}

async function isThere(folder: string): Promise<boolean> {
  try {
    await stat(folder);
    return true;
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return false;
    throw error;
  }
}

async function warn({ sql }: StepDeps, place: Place, taskId: TaskId, notes: readonly string[]): Promise<void> {
  const sessionId = place.session_id;
  if (notes.length === 0 || !sessionId) return;
  const frames = notes.map((message, index) => ({
    key: `${taskId}:diff-note-${index}`,
    taskId,
    body: { type: 'warning' as const, message },
  }));
  await sql.begin((tx) => appendKeyed(tx, sessionId, frames));
}

/** Undefined when the task is final or gone: then there is nothing to do. */
async function beginCollecting({ sql }: StepDeps, taskId: TaskId): Promise<Place | undefined> {
  return sql.begin(async (tx) => {
    const [place] = await tx<Place[]>`
      SELECT t.session_id, t.input, p.path AS project_path, t.worktree_path, t.base_commit
        FROM tasks t LEFT JOIN projects p ON p.id = t.project_id
       WHERE t.id = ${taskId} AND t.state = 'running' FOR UPDATE OF t`;
    if (!place) return undefined;
    await tx`UPDATE tasks SET phase = 'collecting' WHERE id = ${taskId}`;
    if (place.session_id) {
      await endAttempts(tx, taskId, place.session_id);
      await appendKeyed(tx, place.session_id, [
        { key: `${taskId}:collecting`, taskId, body: { type: 'task_state', state: 'running', phase: 'collecting' } },
      ]);
    }
    return place;
  });
}
