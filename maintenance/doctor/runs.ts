/** Whether rows and runs agree: what one has lost and the other has not. */
import type { Client } from '@temporalio/client';
import type { Longhaul } from '../../client/connection.ts';
import { findLostRuns } from '../../client/settle-lost-runs.ts';
import { endedFor } from '../../store/left-tasks.ts';
import type { Sql } from '../../store/sql.ts';
import type { TaskId } from '../../workflows/contract.ts';
import { hasRun } from '../gc/task-states.ts';
import { type Check, ok, warning } from './check.ts';
import { ids } from './tasks.ts';

/** More than these are not asked for one by one. */
const LOOKED_AT = 200;
const ASK_MS = 10_000;
/** As long may the closing steps of a task take whose row somebody ended. */
const CLOSING_SECONDS = 120;
const NAME = 'runs';
const TASK_OF_RUN = /^(?:task|settle)-([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})$/;

export async function checkRuns({ sql, temporal }: Pick<Longhaul, 'sql' | 'temporal'>): Promise<Check> {
  const [lost, stray] = await temporal.withDeadline(Date.now() + ASK_MS, () =>
    Promise.all([findLostRuns({ sql, temporal }, LOOKED_AT), strayRuns(sql, temporal)]),
  );
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

async function strayRuns(sql: Sql, temporal: Client): Promise<string[]> {
  const query = `WorkflowType IN ('task', 'settle') AND ExecutionStatus = 'Running'`;
  const found: string[] = [];
  for await (const { workflowId } of temporal.workflow.list({ query, pageSize: LOOKED_AT })) {
    found.push(...(TASK_OF_RUN.exec(workflowId)?.slice(1) ?? []));
    if (found.length >= LOOKED_AT) break;
  }
  const stray: string[] = [];
  // The list lags a little behind.
  for (const id of await endedFor(sql, found, CLOSING_SECONDS))
    if (await hasRun(temporal, id as TaskId)) stray.push(id);
  return stray;
}
