/**
 * Checks whether the rows of tasks and Temporal's runs agree (either may be lost), and whether a worker can continue
 * each run.
 */
import type { Client } from '@temporalio/client';
import { isRunMissing } from '../../client/temporal.ts';
import type { Longhaul } from '../../client/connection.ts';
import { findLostRuns } from '../../client/settle-lost-runs.ts';
import { endedOrUnknown } from '../../store/left-tasks.ts';
import type { Sql } from '../../store/sql.ts';
import type { TaskId } from '../../contract/ids.ts';
import { hasRun } from '../gc/task-states.ts';
import { type Check, ok, warning } from './check.ts';
import { idList } from './tasks.ts';

/** The maximum number of runs that are examined, because each needs a query. */
const MAX_RUNS = 200;
const ASK_MS = 10_000;
/**
 * The time in seconds for which a run may still execute the closing steps after another program ended its task's row.
 */
const CLOSING_SECONDS = 120;
/**
 * A run is stuck if its workflow task failed or timed out this many times in a row. After fewer times the cause may be
 * two crashes of the worker.
 */
const FAILED_TIMES = 3;
const NAME = 'runs';
const TASK_OF_RUN = /^(?:task|settle)-([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})$/;

export async function checkRuns({ sql, temporal }: Pick<Longhaul, 'sql' | 'temporal'>): Promise<Check> {
  const [lost, { stray, stuck }] = await temporal.withDeadline(Date.now() + ASK_MS, () =>
    Promise.all([findLostRuns({ sql, temporal }, MAX_RUNS), examineOpenRuns(sql, temporal)]),
  );
  if (stuck.length > 0) {
    const detail = `${stuck.length} ${stuck.length === 1 ? 'run' : 'runs'} that no worker can continue: ${idList(stuck)}`;
    const advice =
      'The worker’s log has the reason. Temporal retries without limit, for a worker that can continue it. If it is terminated in the Web UI, the task ends and its work is kept.';
    return warning(NAME, detail, advice);
  }
  if (lost.length > 0) {
    const detail = `${lost.length} open ${lost.length === 1 ? 'task has' : 'tasks have'} no open run in Temporal: ${idList(lost)}`;
    const advice =
      'The backend ends them within a minute, or starts them again if no agent had started: see `backend answers` and its log.';
    return warning(NAME, detail, advice);
  }
  if (stray.length > 0) {
    const detail = `${stray.length} ${stray.length === 1 ? 'run' : 'runs'} in Temporal of tasks that have ended or have no row: ${idList(stray)}`;
    const advice =
      'They end as soon as a worker continues them. If they belong to another database, give each database its own TEMPORAL_NAMESPACE.';
    return warning(NAME, detail, advice);
  }
  return ok(NAME, 'rows and runs agree');
}

/** Returns the task ids of runs that no open task needs (`stray`), and of runs that make no progress (`stuck`). */
async function examineOpenRuns(sql: Sql, temporal: Client): Promise<{ stray: string[]; stuck: string[] }> {
  const query = `WorkflowType IN ('task', 'settle') AND ExecutionStatus = 'Running'`;
  const found = new Map<string, string>();
  for await (const { workflowId } of temporal.workflow.list({ query, pageSize: MAX_RUNS })) {
    const [, taskId] = TASK_OF_RUN.exec(workflowId) ?? [];
    if (taskId !== undefined) found.set(taskId, workflowId);
    if (found.size >= MAX_RUNS) break;
  }
  const stuck: string[] = [];
  for (const [taskId, workflowId] of found) if (await isStuck(temporal, workflowId)) stuck.push(taskId);
  const stray: string[] = [];
  // Temporal's list of runs is updated late, so each run is checked again.
  for (const id of await endedOrUnknown(sql, [...found.keys()], CLOSING_SECONDS))
    if (await hasRun(temporal, id as TaskId)) stray.push(id);
  return { stray, stuck };
}

async function isStuck(temporal: Client, workflowId: string): Promise<boolean> {
  try {
    const { raw } = await temporal.workflow.getHandle(workflowId).describe();
    return (raw.pendingWorkflowTask?.attempt ?? 0) >= FAILED_TIMES;
  } catch (error) {
    if (isRunMissing(error)) return false;
    throw error;
  }
}
