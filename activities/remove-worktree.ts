/**
 * Step 6, remove worktree: scheduled only after what it held is a commit. Failing here never fails the
 * task: the directory is found again by its path.
 */
import type { RemovedWorktree, SessionId, StepInput } from '../workflows/contract.ts';
import { appendWarnings } from './append-warnings.ts';
import { type StepDeps, withHeartbeat } from './step.ts';

interface Place {
  readonly session_id: SessionId | null;
  readonly worktree_path: string | null;
  readonly path: string | null;
}

export function makeRemoveWorktree(deps: StepDeps) {
  const { sql, worktrees } = deps;
  return async function removeWorktree({ taskId }: StepInput): Promise<RemovedWorktree> {
    await sql`UPDATE tasks SET phase = 'cleaning' WHERE id = ${taskId} AND state IN ('pending', 'running')`;
    const [place] = await sql<Place[]>`
      SELECT t.session_id, t.worktree_path, p.path FROM tasks t LEFT JOIN projects p ON p.id = t.project_id
       WHERE t.id = ${taskId}`;
    // The record says whose a worktree is: by now the session's next task may have one at the same path.
    const worktreePath = (await worktrees.findOwned(taskId))?.worktreePath;
    if (!worktreePath) return { removed: false };
    try {
      const projectPath = place?.path ? { projectPath: place.path } : {};
      return await withHeartbeat((signal) => worktrees.remove({ ...projectPath, worktreePath, signal }));
    } catch (error) {
      const warning = `The worktree ${worktreePath} could not be removed: ${error instanceof Error ? error.message : String(error)}`;
      const sessionId = place?.session_id;
      if (sessionId) await appendWarnings(sql, { sessionId, taskId, kind: 'remove-warning' }, [warning]);
      throw error;
    }
  };
}
