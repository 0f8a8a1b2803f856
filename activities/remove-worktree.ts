/**
 * Step 6, remove worktree: scheduled only after what it held is a commit. Failing here never fails the
 * task: the directory is found again by its path.
 */
import type { SessionId } from '../contract/ids.ts';
import type { RemovedWorktree, StepInput } from '../contract/steps.ts';
import { appendWarnings } from './append-warnings.ts';
import { type StepDeps, withHeartbeat } from './step.ts';
import { messageOf } from '../contract/errors.ts';

interface Place {
  readonly session_id: SessionId | null;
  /** Its worktree was made, and it has not ended. */
  readonly unended: boolean;
  readonly worktree_path: string | null;
  readonly path: string | null;
}

export function makeRemoveWorktree(deps: StepDeps) {
  const { sql, worktrees } = deps;
  return async function removeWorktree({ taskId }: StepInput): Promise<RemovedWorktree> {
    await sql`UPDATE tasks SET phase = 'cleaning' WHERE id = ${taskId} AND state IN ('pending', 'running')`;
    const [place] = await sql<Place[]>`
      SELECT t.session_id, t.state = 'running' AND t.base_commit IS NOT NULL AS unended, t.worktree_path, p.path FROM tasks t LEFT JOIN projects p ON p.id = t.project_id
       WHERE t.id = ${taskId}`;
    // The record says whose a worktree is: by now the session's next task may have one at the same path.
    const worktreePath = (await worktrees.findOwned(taskId))?.worktreePath ?? unrecorded(place, worktrees);
    if (!worktreePath) return { removed: false };
    try {
      const projectPath = place?.path ? { projectPath: place.path } : {};
      return await withHeartbeat((signal) => worktrees.remove({ ...projectPath, worktreePath, signal }));
    } catch (error) {
      const warning = `The worktree ${worktreePath} could not be removed: ${messageOf(error)}`;
      const sessionId = place?.session_id;
      if (sessionId) await appendWarnings(sql, { sessionId, taskId, kind: 'remove-warning' }, [warning]);
      throw error;
    }
  };
}

/** A record that was being written as the machine lost power says nothing; while its task is open the path is its own. */
function unrecorded(place: Place | undefined, worktrees: StepDeps['worktrees']): string | undefined {
  if (!place?.unended || place.worktree_path === null || !worktrees.isOwn(place.worktree_path)) return undefined;
  return worktrees.ownerOf(place.worktree_path) === undefined ? place.worktree_path : undefined;
}
