/**
 * Cancel: the request is stored in the task's row first, so that it survives every process, and then signalled. Intake
 * re-sends the signal until the workflow acknowledges it.
 */
import type { Client } from '@temporalio/client';
import type { Sql } from '../store/sql.ts';
import { cancelUnstarted, requestCancel } from '../store/tasks.ts';
import type { TaskId } from '../contract/ids.ts';
import { CANCEL_TASK, taskWorkflowId } from '../contract/names.ts';
import type { CancelTask, TaskState } from '../contract/task.ts';
import { head } from '../contract/cut-text.ts';
import { missing, parseId } from './short-ids.ts';
import { isRunMissing, isTemporalUnavailable } from './temporal.ts';

const SIGNAL_MS = 5_000;

export interface CancelDeps {
  readonly sql: Sql;
  /** Absent: the request is only stored; intake delivers it. */
  readonly temporal?: Client;
}

export type CancelOutcome =
  /** The task had not started, and ends without a run. */
  | { readonly kind: 'cancelled' }
  /** The run has the signal; the task ends as soon as its agent is stopped. */
  | { readonly kind: 'requested' }
  /**
   * The request is stored and will be carried out: Temporal is unavailable, or a process is starting the task.
   * A task without a run may have ended when the caller reads this.
   */
  | { readonly kind: 'recorded' }
  | { readonly kind: 'already_ended'; readonly state: TaskState };

/** May be called again. Fails with `task_not_found`, or with `invalid_input` for an invalid task id. */
export async function cancel(deps: CancelDeps, id: TaskId, reason?: string): Promise<CancelOutcome> {
  const taskId = parseId('task', id);
  const request = await requestCancel(deps.sql, taskId, reason);
  if (request.kind === 'superseded') {
    if (request.state === undefined) throw missing('task', taskId);
    return { kind: 'already_ended', state: request.state as TaskState };
  }
  if (await cancelBeforeStart(deps.sql, taskId, reason)) return { kind: 'cancelled' };
  if (!deps.temporal) return { kind: 'recorded' };
  return { kind: (await signalCancel(deps.temporal, taskId)) ? 'requested' : 'recorded' };
}

/** Ends a task without a claim and without a run. False: it has a run, or a process is starting one. */
export async function cancelBeforeStart(sql: Sql, taskId: TaskId, reason: string | undefined): Promise<boolean> {
  const summary = `Cancelled before it started${reason ? `: ${head(reason, 400)}` : '.'}`;
  const { kind } = await sql.begin((tx) => cancelUnstarted(tx, { taskId, summary }));
  return kind === 'moved';
}

/** False: the signal is not delivered, because Temporal is unavailable, or the run does not exist (yet, or any more). */
export async function signalCancel(client: Client, taskId: TaskId): Promise<boolean> {
  try {
    return await deliverCancel(client, taskId);
  } catch (error) {
    if (isTemporalUnavailable(error)) return false;
    throw error;
  }
}

/**
 * Without the reason, which the row has. False: the run does not exist (yet, or any more). Fails while Temporal is
 * unavailable.
 */
export async function deliverCancel(client: Client, taskId: TaskId): Promise<boolean> {
  const payload: CancelTask = {};
  try {
    const handle = client.workflow.getHandle(taskWorkflowId(taskId));
    await client.withDeadline(Date.now() + SIGNAL_MS, () => handle.signal(CANCEL_TASK, payload));
    return true;
  } catch (error) {
    if (isRunMissing(error)) return false;
    throw error;
  }
}
