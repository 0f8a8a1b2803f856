/** Whether rows and runs agree: what one has lost and the other has not; and whether runs can go on. */
import type { Client } from '@temporalio/client';
import { isRunMissing } from '../../client/temporal.ts';
import type { Longhaul } from '../../client/connection.ts';
import { findLostRuns } from '../../client/settle-lost-runs.ts';
import { endedFor } from '../../store/left-tasks.ts';
import type { Sql } from '../../store/sql.ts';
import type { TaskId } from '../../contract/ids.ts';
import { hasRun } from '../gc/task-states.ts';
import { type Check, ok, warning } from './check.ts';
import { ids } from './tasks.ts';

/** More than these are not asked for one by one. */
const LOOKED_AT = 200;
const ASK_MS = 10_000;
/** As long may the closing steps of a task take whose row somebody ended. */
const CLOSING_SECONDS = 120;
/** So many times in a row has a worker failed at a run, or not answered. Two that died one after the other are no sign. */
const FAILED_TIMES = 3;
const NAME = 'runs';
const TASK_OF_RUN = /^(?:task|settle)-([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})$/;

export async function checkRuns({ sql, temporal }: Pick<Longhaul, 'sql' | 'temporal'>): Promise<Check> {
  const [lost, { stray, stuck }] = await temporal.withDeadline(Date.now() + ASK_MS, () =>
    Promise.all([findLostRuns({ sql, temporal }, LOOKED_AT), lookAtOpenRuns(sql, temporal)]),
  );
  if (stuck.length > 0) {
    const detail = `${stuck.length} ${stuck.length === 1 ? 'run' : 'runs'} that no worker can go on with: ${ids(stuck)}`;
    const advice =
      'The worker’s log says why. It is tried again for ever, for a worker that can; terminated in the Web UI, the task ends with its work kept.';
    return warning(NAME, detail, advice);
  }
  if (lost.length > 0) {
    const detail = `${lost.length} open ${lost.length === 1 ? 'task has' : 'tasks have'} no open run in Temporal: ${ids(lost)}`;
    const advice =
      'The backend ends them, or starts again what only waited, within a minute: see `backend answers` and its log.';
    return warning(NAME, detail, advice);
  }
  if (stray.length > 0) {
    const detail = `${stray.length} ${stray.length === 1 ? 'run' : 'runs'} in Temporal of tasks that have ended or have no row: ${ids(stray)}`;
    const advice =
      'They end as soon as a worker takes them up. If they are of another database, give each database a TEMPORAL_NAMESPACE of its own.';
    return warning(NAME, detail, advice);
  }
  return ok(NAME, 'rows and runs agree');
}

/** Task ids: of runs that nobody needs, and of those that do not come from the spot. */
async function lookAtOpenRuns(sql: Sql, temporal: Client): Promise<{ stray: string[]; stuck: string[] }> {
  const query = `WorkflowType IN ('task', 'settle') AND ExecutionStatus = 'Running'`;
  const found = new Map<string, string>();
  for await (const { workflowId } of temporal.workflow.list({ query, pageSize: LOOKED_AT })) {
    const [, taskId] = TASK_OF_RUN.exec(workflowId) ?? [];
    if (taskId !== undefined) found.set(taskId, workflowId);
    if (found.size >= LOOKED_AT) break;
  }
  const stuck: string[] = [];
  for (const [taskId, workflowId] of found) if (await isStuck(temporal, workflowId)) stuck.push(taskId);
  const stray: string[] = [];
  // The list lags a little behind.
  for (const id of await endedFor(sql, [...found.keys()], CLOSING_SECONDS))
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
