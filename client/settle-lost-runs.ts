/**
 * Rows that say a task is open while Temporal says that its run is closed: it was terminated by hand. A `settle` workflow
 * runs the closing steps for them. A run that Temporal does not know was forgotten, as a power cut takes the embedded
 * server's last commits back: a new run goes on from what the database has. A row that says it is running and never had
 * a run has nothing to close: it ends at once. One process at a time looks, under an advisory lock.
 */
import { type Client, WorkflowExecutionAlreadyStartedError, WorkflowNotFoundError } from '@temporalio/client';
import { failUnstarted, forgetRun, isOpen, type OpenRun, openRuns, runningWithoutRun } from '../store/queue.ts';
import type { Sql } from '../store/sql.ts';
import {
  COMMANDS,
  type SettleInput,
  settleWorkflowId,
  type TaskEnd,
  type TaskId,
  taskWorkflowId,
  WORKFLOW_QUEUE,
  WORKFLOW_TASK_TIMEOUT,
} from '../workflows/contract.ts';
import { sayEnded } from './cancel.ts';
import { isRefusedByTemporal, isTemporalAway } from './temporal.ts';

const ADVISORY_LOCK = 4_706_003;
const CALL_MS = 5_000;
const AT_ONCE = 10;

export interface SettleDeps {
  readonly sql: Sql;
  readonly temporal: Client;
  readonly host: string;
  readonly log: { error(fields: object, message: string): void };
}

/** Returns how many tasks were brought on: settlements started, runs forgotten, tasks without a run ended. */
export async function settleLostRuns(deps: SettleDeps): Promise<number> {
  // A transaction, not a reserved connection: that one would never answer again if Postgres went away meanwhile.
  return deps.sql.begin(async (tx) => {
    const [lock] = await tx<{ taken: boolean }[]>`SELECT pg_try_advisory_xact_lock(${ADVISORY_LOCK}) AS taken`;
    if (!lock?.taken) return 0;
    const rest = await openRuns(tx);
    let settled = 0;
    for (const taskId of await runningWithoutRun(tx)) if (await tryToEndWithoutRun(deps, taskId)) settled += 1;
    const work = async (): Promise<void> => {
      for (let run = rest.shift(); run; run = rest.shift()) if (await tryToSettle(deps, run)) settled += 1;
    };
    await Promise.all(Array.from({ length: AT_ONCE }, work));
    return settled;
  });
}

/** One row that cannot be settled keeps no other from it. Without Temporal none can be. */
async function tryToSettle(deps: SettleDeps, run: OpenRun): Promise<boolean> {
  try {
    return await settleIfLost(deps, run);
  } catch (error) {
    if (isTemporalAway(error)) throw error;
    deps.log.error({ err: error, task_id: run.id, run_id: run.runId }, 'a task could not be compared with its run');
    return false;
  }
}

async function tryToEndWithoutRun({ sql, log }: SettleDeps, taskId: TaskId): Promise<boolean> {
  const summary = 'The task said that it was running, and had no run: insert tasks as pending.';
  try {
    return await sql.begin(async (tx) => {
      const ended = await failUnstarted(tx, { taskId, code: 'terminated', summary });
      if (ended) await sayEnded(tx, { taskId, ended, state: 'failed', summary });
      return ended !== undefined;
    });
  } catch (error) {
    log.error({ err: error, task_id: taskId }, 'a task that never had a run could not be ended');
    return false;
  }
}

async function settleIfLost(deps: SettleDeps, run: OpenRun): Promise<boolean> {
  const status = await statusOf(deps.temporal, run);
  // A run makes its row final before it closes, so a row that is open even now was left behind.
  if (status === 'RUNNING' || status === 'PAUSED' || !(await isOpen(deps.sql, run.id))) return false;
  if (status === 'UNKNOWN' && (await forgetRun(deps.sql, run.id, run.runId))) return true;
  const input: SettleInput = { taskId: run.id, host: deps.host, commands: COMMANDS, end: endOf(run, status) };
  try {
    await deps.temporal.withDeadline(Date.now() + CALL_MS, () =>
      deps.temporal.workflow.start('settle', {
        taskQueue: WORKFLOW_QUEUE,
        workflowId: settleWorkflowId(run.id),
        args: [input],
        workflowTaskTimeout: WORKFLOW_TASK_TIMEOUT,
        workflowIdReusePolicy: 'ALLOW_DUPLICATE_FAILED_ONLY',
        staticSummary: `Closes a task whose run is ${status.toLowerCase()}`,
      }),
    );
    return true;
  } catch (error) {
    if (error instanceof WorkflowExecutionAlreadyStartedError) return false;
    throw error;
  }
}

async function statusOf(client: Client, run: OpenRun): Promise<string> {
  try {
    const handle = client.workflow.getHandle(taskWorkflowId(run.id), run.runId);
    const { status } = await client.withDeadline(Date.now() + CALL_MS, () => handle.describe());
    return status.name;
  } catch (error) {
    if (error instanceof WorkflowNotFoundError) return 'UNKNOWN';
    if (isRefusedByTemporal(error)) return 'INVALID';
    throw error;
  }
}

function endOf(run: OpenRun, status: string): TaskEnd {
  if (run.cancelRequested) {
    return { state: 'cancelled', ...(run.cancelReason ? { reason: run.cancelReason } : {}) };
  }
  const message =
    status === 'INVALID'
      ? `The task's run_id is "${run.runId}", which is no run of Temporal's.`
      : 'The task was terminated in Temporal before it ended.';
  return { state: 'failed', code: 'terminated', message };
}
