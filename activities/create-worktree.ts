/**
 * Step 2, create worktree: the first step that holds an agent slot at Temporal, so this is where a task starts to run.
 * Where other workers of the host have all slots it waits for one: a task that waits has cost no checkout. It takes none;
 * a turn does.
 * Run twice it finds the same worktree on the same base: the row keeps what the first one chose. A path in another home, from
 * which the database was copied, is not used: the turn starts over in a worktree of this home.
 */
import path from 'node:path';
import { appendKeyed } from '../store/append-frames.ts';
import { forgetAttempts } from '../store/forget-open-turns.ts';
import { refuseOutside } from '../store/project-roots.ts';
import type { Sql, Tx } from '../store/sql.ts';
import type { SessionId, TaskId } from '../contract/ids.ts';
import type { CreatedWorktree, StepInput } from '../contract/steps.ts';
import { LonghaulError } from '../contract/errors.ts';
import type { MadeWorktree } from '../worktrees/create.ts';
import { commonDirOf } from '../worktrees/repository.ts';
import type { Worktrees } from '../worktrees/worktrees.ts';
import { appendWarnings } from './append-warnings.ts';
import { type StepDeps, withHeartbeat } from './step.ts';
import { countQueueWait } from './step-metrics.ts';

/** Results that are missing cost two git processes each. */
const MAX_BASES = 10;

interface Place {
  readonly sessionId: SessionId;
  readonly projectPath: string;
  readonly worktreePath: string;
  /** Commits to start from, the best first; none is there: the project's HEAD. */
  readonly bases: readonly string[];
  readonly madeBefore: boolean;
  /** Since its row was inserted. Null: an earlier run of this step began the task. */
  readonly waitedS: number | null;
}

export function makeCreateWorktree(deps: StepDeps) {
  const { sql, worktrees, projectRoots, slots, forceShutdown } = deps;
  return async function createWorktree({ taskId }: StepInput): Promise<CreatedWorktree> {
    if (!slots.isOneFree()) {
      await withHeartbeat(async (signal) => {
        do await slots.untilChange(signal);
        while (!slots.isOneFree());
      });
    }
    if (projectRoots.length > 0) await refuseProjectOutside(sql, taskId, projectRoots);
    const place = await sql.begin((tx) => beginTask(tx, taskId, deps));
    if (place.waitedS !== null) countQueueWait(place.waitedS);
    const made = await withHeartbeat((signal) =>
      makeFrom(worktrees, place, { owner: taskId, signal: AbortSignal.any([signal, forceShutdown]) }),
    );
    await sql`
      UPDATE tasks SET worktree_path = ${made.worktreePath}, base_commit = coalesce(base_commit, ${made.base})
       WHERE id = ${taskId} AND state = 'running'`;
    await appendWarnings(sql, { sessionId: place.sessionId, taskId, kind: 'worktree-warning' }, made.warnings);
    return { worktree: made.worktreePath, base: made.base };
  };
}

/** From the first base that the repository still has. Any program may write a result that never was, or remove one. */
async function makeFrom(
  worktrees: Worktrees,
  { projectPath, worktreePath, bases, madeBefore }: Place,
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
        `The repository has no commit ${missing.join(', ')}, which the session's newest change names as its result: the agent starts from ${from}, without what that change holds.`,
      ];
}

/** Any program may insert any project: here is the first that goes to it. Its repository may lie elsewhere than its folder. */
async function refuseProjectOutside(sql: Sql, taskId: TaskId, roots: readonly string[]): Promise<void> {
  const [project] = await sql<{ path: string | null }[]>`
    SELECT p.path FROM tasks t JOIN projects p ON p.id = t.project_id WHERE t.id = ${taskId}`;
  if (!project?.path) return;
  await refuseOutside(project.path, roots);
  const commonDir = commonDirOf(project.path);
  if (commonDir !== undefined) await refuseOutside(commonDir, roots);
}

async function beginTask(tx: Tx, taskId: TaskId, { worktrees, worktreesDir }: StepDeps): Promise<Place> {
  const [task] = await tx<
    {
      state: string;
      session_id: SessionId;
      path: string;
      base_commit: string | null;
      worktree_path: string | null;
      waited_s: number | null;
    }[]
  >`
    SELECT t.state, t.session_id, p.path, t.base_commit, t.worktree_path,
           CASE WHEN t.started_at IS NULL AND isfinite(t.created_at) THEN extract(epoch FROM clock_timestamp() - t.created_at)::float8 END AS waited_s
      FROM tasks t JOIN projects p ON p.id = t.project_id WHERE t.id = ${taskId} FOR UPDATE OF t`;
  if (!task) throw new LonghaulError('task_gone', `task ${taskId}: its row or its project's was deleted`);
  if (task.state !== 'pending' && task.state !== 'running') {
    throw new LonghaulError('superseded', `task ${taskId} is ${task.state}: expected pending or running`);
  }
  const { session_id: sessionId, worktree_path: named } = task;
  const isElsewhere = named !== null && !worktrees.isOwn(named);
  if (isElsewhere) await forgetAttempts(tx, [taskId]);
  const [worktreePath, bases] = await Promise.all([
    named === null || isElsewhere ? pathFor(tx, { taskId, sessionId, worktreesDir }) : named,
    task.base_commit === null ? results(tx, sessionId) : [task.base_commit],
  ]);
  await Promise.all([
    tx`
      UPDATE tasks SET state = 'running', phase = 'preparing', worktree_path = ${worktreePath},
             started_at = coalesce(started_at, clock_timestamp())
       WHERE id = ${taskId}`,
    appendKeyed(tx, sessionId, [
      { key: `${taskId}:preparing`, taskId, body: { type: 'task_state', state: 'running', phase: 'preparing' } },
    ]),
  ]);
  return {
    sessionId,
    projectPath: task.path,
    worktreePath,
    bases,
    madeBefore: task.base_commit !== null,
    waitedS: task.waited_s,
  };
}

/** One path a session, because agents key their own sessions by it; unless an earlier task's worktree had to stay there. */
async function pathFor(
  tx: Tx,
  { taskId, sessionId, worktreesDir }: { taskId: TaskId; sessionId: SessionId; worktreesDir: string },
): Promise<string> {
  const usual = path.join(worktreesDir, sessionId);
  const kept = await tx`SELECT FROM tasks WHERE session_id = ${sessionId} AND kept_worktree = ${usual}`;
  return kept.length === 0 ? usual : `${usual}-${taskId.slice(0, 8)}`;
}

/** A session goes on from its newest result, unless that was rejected or is in the project already. Newest first. */
async function results(tx: Tx, sessionId: SessionId): Promise<string[]> {
  const rows = await tx<{ result_commit: string }[]>`
    SELECT result_commit FROM pending_changes
     WHERE session_id = ${sessionId} AND state = 'pending' AND result_commit ~ '^([0-9a-f]{40}|[0-9a-f]{64})$'
     ORDER BY created_at DESC, id DESC LIMIT ${MAX_BASES}`;
  return [...new Set(rows.map((row) => row.result_commit))];
}
