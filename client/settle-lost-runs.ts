/**
 * Settles open tasks whose run is closed in Temporal or unknown to it. A run is closed if a user terminated it, or if
 * the rows are from an older copy of the database: then a `settle` workflow runs the closing steps. A run is unknown if
 * a power failure undid the embedded server's last commits, or if the server's database was lost: then a new run
 * continues from the rows. A row in state `running` that never had a run ends at once, because it has nothing to close.
 * An advisory lock ensures that one process at a time compares tasks with runs.
 */
import type { Client } from '@temporalio/client';
import { tryLock } from '../store/advisory-lock.ts';
import { forgetRun, isOpen, type OpenRun, openRuns, runningWithoutRun } from '../store/queue.ts';
import type { Sql } from '../store/sql.ts';
import { failUnstarted } from '../store/tasks.ts';
import type { TaskId } from '../contract/ids.ts';
import { settleWorkflowId, taskWorkflowId, WORKFLOW_QUEUE, WORKFLOW_TASK_TIMEOUT } from '../contract/names.ts';
import { COMMANDS, type SettleInput, type TaskEnd } from '../contract/task.ts';
import { shorten } from '../contract/cut-text.ts';
import { endLostWaits } from './end-lost-waits.ts';
import { isRefusedByTemporal, isRunAlreadyStarted, isRunMissing, isTemporalUnavailable } from './temporal.ts';

const CALL_MS = 5_000;
const AT_ONCE = 10;

interface Services {
  readonly sql: Sql;
  readonly temporal: Client;
}

export interface SettleDeps extends Services {
  readonly host: string;
  readonly log: { error(fields: object, message: string): void };
}

/**
 * Returns the number of tasks that were settled, got a new run or ended without a run, plus the number of waiting runs
 * that were signalled to end.
 */
export async function settleLostRuns(deps: SettleDeps): Promise<number> {
  // A transaction is used here, not a reserved connection. A reserved connection would never respond again if Postgres
  // stopped meanwhile.
  return deps.sql.begin(async (tx) => {
    if (!(await tryLock(tx, 'settle_lost_runs'))) return 0;
    const rest = await openRuns(tx);
    let settled = 0;
    for (const taskId of await runningWithoutRun(tx)) if (await tryToEndWithoutRun(deps, taskId)) settled += 1;
    const work = async (): Promise<void> => {
      for (let run = rest.shift(); run; run = rest.shift()) if (await tryToSettle(deps, run)) settled += 1;
    };
    await Promise.all(Array.from({ length: AT_ONCE }, work));
    return settled + (await endLostWaits(deps));
  });
}

/**
 * Settles one task. If this task cannot be settled, the other tasks are still settled. If Temporal is unavailable, the
 * error is thrown, because then no task can be settled.
 */
async function tryToSettle(deps: SettleDeps, run: OpenRun): Promise<boolean> {
  try {
    return await settleIfLost(deps, run);
  } catch (error) {
    if (isTemporalUnavailable(error)) throw error;
    deps.log.error({ err: error, task_id: run.id, run_id: run.runId }, 'a task was not compared with its run');
    return false;
  }
}

async function tryToEndWithoutRun({ sql, log }: SettleDeps, taskId: TaskId): Promise<boolean> {
  const summary = 'The row was in state running, but the task had no run: insert tasks as pending.';
  try {
    const { kind } = await sql.begin((tx) => failUnstarted(tx, { taskId, code: 'terminated', summary }));
    return kind === 'moved';
  } catch (error) {
    log.error({ err: error, task_id: taskId }, 'a task without a run was not ended');
    return false;
  }
}

async function settleIfLost(deps: SettleDeps, run: OpenRun): Promise<boolean> {
  const status = await lostStatus(deps, run);
  if (status === undefined) return false;
  if (status === 'UNKNOWN' && (await forgetRun(deps.sql, run.id, run.runId)).kind === 'moved') return true;
  const input: SettleInput = { taskId: run.id, host: deps.host, commands: COMMANDS, end: endOf(run, status) };
  try {
    await deps.temporal.withDeadline(Date.now() + CALL_MS, () =>
      deps.temporal.workflow.start('settle', {
        taskQueue: WORKFLOW_QUEUE,
        workflowId: settleWorkflowId(run.id),
        args: [input],
        workflowTaskTimeout: WORKFLOW_TASK_TIMEOUT,
        // If the database is restored from a copy, a task that was settled may be open again. A second settlement of a
        // final row changes nothing.
        workflowIdReusePolicy: 'ALLOW_DUPLICATE',
        staticSummary: `Closes a task whose run is ${status.toLowerCase()}`,
      }),
    );
    return true;
  } catch (error) {
    if (isRunAlreadyStarted(error)) return false;
    throw error;
  }
}

/** Returns those of the `limit` oldest open tasks whose run is closed in Temporal or unknown to it. Changes nothing. */
export async function findLostRuns(deps: Services, limit: number): Promise<TaskId[]> {
  const lost: TaskId[] = [];
  for (const run of (await openRuns(deps.sql)).slice(0, limit)) {
    if ((await lostStatus(deps, run)) !== undefined) lost.push(run.id);
  }
  return lost;
}

/** Returns the status of a lost run. Undefined if the run continues, or if it has ended together with its row. */
async function lostStatus({ sql, temporal }: Services, run: OpenRun): Promise<string | undefined> {
  const status = await statusOf(temporal, run);
  // A run makes its row final before it closes. So if the run is closed and the row is still open, the run ended
  // without finishing the task.
  return status === 'RUNNING' || status === 'PAUSED' || !(await isOpen(sql, run.id)) ? undefined : status;
}

async function statusOf(client: Client, run: OpenRun): Promise<string> {
  try {
    const handle = client.workflow.getHandle(taskWorkflowId(run.id), run.runId);
    const { status } = await client.withDeadline(Date.now() + CALL_MS, () => handle.describe());
    return status.name;
  } catch (error) {
    if (isRunMissing(error)) return 'UNKNOWN';
    if (isRefusedByTemporal(error)) return 'INVALID';
    throw error;
  }
}

function endOf(run: OpenRun, status: string): TaskEnd {
  if (run.cancelRequested) return { state: 'cancelled' };
  return { state: 'failed', code: 'terminated', message: whyLost(run, status) };
}

function whyLost({ id, runId }: OpenRun, status: string): string {
  switch (status) {
    case 'INVALID':
      return `The task's run_id is "${shorten(runId, 80)}": expected the id of a run in Temporal.`;
    case 'TERMINATED':
      return 'The task was terminated in Temporal before it ended.';
    default:
      return (
        `The run of this task is ${status.toLowerCase()} in Temporal, but its row was open: the database seems ` +
        `to be restored from an older copy. What the task had changed, if anything, is refs/longhaul/tasks/${id}.`
      );
  }
}
