/** Reads the columns of a task's row, and of its project's row, that the steps around the worktree need. */
import type { SessionId, TaskId } from '../contract/ids.ts';
import type { ExecutionPath, TaskState } from '../contract/task.ts';
import type { Db, Tx } from './sql.ts';

export interface TaskToBegin {
  readonly state: string;
  readonly session_id: SessionId;
  /** The project's folder. */
  readonly path: string | null;
  readonly execution_path: ExecutionPath | null;
  readonly base_commit: string | null;
  readonly worktree_path: string | null;
  /** The seconds since the task's row was inserted. Null if an earlier run of the step began the task. */
  readonly waited_s: number | null;
}

/** Locks the task's row and returns it. Returns undefined if the row of the task or of its project was deleted. */
export async function lockTaskToBegin(tx: Tx, taskId: TaskId): Promise<TaskToBegin | undefined> {
  const [task] = await tx<TaskToBegin[]>`
    SELECT t.state, t.session_id, p.path, t.execution_path, t.base_commit, t.worktree_path,
           CASE WHEN t.started_at IS NULL AND isfinite(t.created_at) THEN extract(epoch FROM clock_timestamp() - t.created_at)::float8 END AS waited_s
      FROM tasks t JOIN projects p ON p.id = t.project_id WHERE t.id = ${taskId} FOR UPDATE OF t`;
  return task;
}

/** Returns the project's folder. Returns undefined if the row of the task or of its project was deleted. */
export async function projectPathOf(db: Db, taskId: TaskId): Promise<string | undefined> {
  const [project] = await db<{ path: string | null }[]>`
    SELECT p.path FROM tasks t JOIN projects p ON p.id = t.project_id WHERE t.id = ${taskId}`;
  return project?.path ?? undefined;
}

/** Returns whether a task of the session ended and its worktree was kept at this path. */
export async function isKeptWorktree(db: Db, sessionId: SessionId, worktreePath: string): Promise<boolean> {
  const kept = await db`SELECT FROM tasks WHERE session_id = ${sessionId} AND kept_worktree = ${worktreePath}`;
  return kept.length > 0;
}

/** Returns the result commits of the session's changes that are neither applied nor rejected, the newest first. */
export async function pendingResults(db: Db, sessionId: SessionId, limit: number): Promise<string[]> {
  const rows = await db<{ result_commit: string }[]>`
    SELECT result_commit FROM pending_changes
     WHERE session_id = ${sessionId} AND state = 'pending' AND result_commit ~ '^([0-9a-f]{40}|[0-9a-f]{64})$'
     ORDER BY created_at DESC, id DESC LIMIT ${limit}`;
  return [...new Set(rows.map((row) => row.result_commit))];
}

export interface TaskToCollect {
  readonly state: TaskState;
  readonly session_id: SessionId | null;
  readonly input: string;
  readonly project_path: string | null;
  readonly worktree_path: string | null;
  readonly base_commit: string | null;
}

/** Locks the task's row and returns it. Returns undefined if the row was deleted. */
export async function lockTaskToCollect(tx: Tx, taskId: TaskId): Promise<TaskToCollect | undefined> {
  const [task] = await tx<TaskToCollect[]>`
    SELECT t.state, t.session_id, t.input, p.path AS project_path, t.worktree_path, t.base_commit
      FROM tasks t LEFT JOIN projects p ON p.id = t.project_id
     WHERE t.id = ${taskId} FOR UPDATE OF t`;
  return task;
}

export interface TaskToClean {
  readonly session_id: SessionId | null;
  /** True if the task's worktree was created and the task has not ended. */
  readonly unended: boolean;
  readonly worktree_path: string | null;
  readonly project_path: string | null;
}

export async function findTaskToClean(db: Db, taskId: TaskId): Promise<TaskToClean | undefined> {
  const [task] = await db<TaskToClean[]>`
    SELECT t.session_id, t.state = 'running' AND t.base_commit IS NOT NULL AS unended, t.worktree_path, p.path AS project_path
      FROM tasks t LEFT JOIN projects p ON p.id = t.project_id WHERE t.id = ${taskId}`;
  return task;
}

export interface TaskCheckout {
  readonly session_id: SessionId;
  /** The project's folder. */
  readonly path: string | null;
  readonly execution_path: ExecutionPath | null;
  readonly base_commit: string | null;
}

/** Returns the project's folder, and the commit that the task started from. */
export async function findCheckout(db: Db, taskId: TaskId): Promise<TaskCheckout | undefined> {
  const [task] = await db<TaskCheckout[]>`
    SELECT t.session_id, p.path, t.base_commit FROM tasks t JOIN projects p ON p.id = t.project_id WHERE t.id = ${taskId}`;
  return task;
}

/** Returns the newest task that had its worktree at this path. */
export async function newestTaskAt(db: Db, worktreePath: string): Promise<TaskId | undefined> {
  const [row] = await db<{ id: TaskId }[]>`
    SELECT id FROM tasks WHERE worktree_path = ${worktreePath} ORDER BY created_at DESC LIMIT 1`;
  return row?.id;
}
