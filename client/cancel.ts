/**
 * Cancels a task. The request is first stored in the task's row, so that it survives the exit of any process. Then the
 * run is signalled. Intake re-sends the signal until the workflow acknowledges it.
 */
import type { Client } from '@temporalio/client';
import type { Sql } from '../store/sql.ts';
import { cancelUnstarted, requestCancel } from '../store/tasks.ts';
import type { TaskId } from '../contract/ids.ts';
import { CANCEL_TASK, taskWorkflowId } from '../contract/names.ts';
import type { CancelTask, TaskState } from '../contract/task.ts';
import { head } from '../contract/cut-text.ts';
import { notFoundError, parseId } from './short-ids.ts';
import { isRunMissing, isTemporalUnavailable } from './temporal.ts';

const SIGNAL_MS = 5_000;

export interface CancelDeps {
  readonly sql: Sql;
  /** If absent, `cancel` only stores the request, and intake delivers it. */
  readonly temporal?: Client;
}

export type CancelOutcome =
  /** The task had not started. It ended without a run. */
  | { readonly kind: 'cancelled' }
  /** The run has received the signal. The task ends as soon as its agent has exited. */
  | { readonly kind: 'requested' }
  /**
   * The request is stored and intake will carry it out, because Temporal is unavailable or a process is just starting
   * the task. If the task has no run, the task may have ended by the time the caller reads this outcome.
   */
  | { readonly kind: 'recorded' }
  | { readonly kind: 'already_ended'; readonly state: TaskState };

/**
 * Requests the cancel. A second call is harmless. Fails with `task_not_found`, or with `invalid_input` for an invalid
 * task id.
 */
export async function cancel(deps: CancelDeps, id: TaskId, reason?: string): Promise<CancelOutcome> {
  const taskId = parseId('task', id);
  const request = await requestCancel(deps.sql, taskId, reason);
  if (request.kind === 'superseded') {
    if (request.state === undefined) throw notFoundError('task', taskId);
    return { kind: 'already_ended', state: request.state as TaskState };
  }
  if (await cancelBeforeStart(deps.sql, taskId, reason)) return { kind: 'cancelled' };
  if (!deps.temporal) return { kind: 'recorded' };
  return { kind: (await signalCancel(deps.temporal, taskId)) ? 'requested' : 'recorded' };
}

/**
 * Ends a task that has neither a claim nor a run. Returns false if the task has a run, or if a process is starting one.
 */
export async function cancelBeforeStart(sql: Sql, taskId: TaskId, reason: string | undefined): Promise<boolean> {
  const summary = `Cancelled before it started${reason ? `: ${head(reason, 400)}` : '.'}`;
  const { kind } = await sql.begin((tx) => cancelUnstarted(tx, { taskId, summary }));
  return kind === 'moved';
}

/**
 * Signals the cancel to the task's run. Returns false if the signal was not delivered, because Temporal is unavailable,
 * or because the run does not exist yet or no longer exists.
 */
export async function signalCancel(client: Client, taskId: TaskId): Promise<boolean> {
  try {
    return await deliverCancel(client, taskId);
  } catch (error) {
    if (isTemporalUnavailable(error)) return false;
    throw error;
  }
}

/**
 * Signals the cancel without its reason, because the row has the reason. Returns false if the run does not exist yet or
 * no longer exists. Fails while Temporal is unavailable.
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
