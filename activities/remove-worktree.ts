/**
 * Step 6, remove worktree: scheduled only after what it held is a commit. Failing here never fails the
 * task: the directory is found again by its path.
 */
import { appendKeyed } from '../frames/append.ts';
import type { RemovedWorktree, SessionId, StepInput } from '../workflows/contract.ts';
import { type StepDeps, withHeartbeat } from './step.ts';

export function makeRemoveWorktree({ sql, worktrees }: StepDeps) {
  return async function removeWorktree({ taskId }: StepInput): Promise<RemovedWorktree> {
    const [place] = await sql<{ session_id: SessionId; worktree_path: string | null; path: string | null }[]>`
      UPDATE tasks t SET phase = 'cleaning' FROM projects p
       WHERE t.id = ${taskId} AND p.id = t.project_id AND t.state IN ('pending', 'running')
      RETURNING t.session_id, t.worktree_path, p.path`;
    const { worktree_path: worktreePath, path: projectPath } = place ?? {};
    if (!place || !worktreePath || !projectPath) return { removed: false };
    try {
      await withHeartbeat((signal) => worktrees.remove({ projectPath, worktreePath, signal }));
      return { removed: true };
    } catch (error) {
      const warning = `The worktree ${worktreePath} could not be removed: ${error instanceof Error ? error.message : String(error)}`;
      await sql.begin((tx) =>
        appendKeyed(tx, place.session_id, [
          { key: `${taskId}:remove-warning`, taskId, body: { type: 'warning', message: warning } },
        ]),
      );
      throw error;
    }
  };
}
