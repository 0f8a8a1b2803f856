/**
 * Determines whether a task is open. A task is open if its row is not final, or if an attempt or a run of it is open.
 * gc removes a leftover only if its task is not open.
 */
import type { Client } from '@temporalio/client';
import { isRunMissing } from '../../client/temporal.ts';
import { isAlive } from '../../processes/identity.ts';
import { openAttempts } from '../../store/attempts.ts';
import { findTasks, type LeftoverTask } from '../../store/left-tasks.ts';
import type { Sql } from '../../store/sql.ts';
import { shortId, type TaskId } from '../../contract/ids.ts';
import { settleWorkflowId, taskWorkflowId } from '../../contract/names.ts';
import { isFinal } from '../../contract/task.ts';

const ASK_MS = 5_000;

/** Where the state of tasks is found: the database, Temporal, and the name of this host. */
export interface TaskKnowledge {
  readonly sql: Sql;
  readonly temporal: Client;
  readonly host: string;
}

export type KnownTask =
  | { readonly kind: 'at_work' }
  | { readonly kind: 'ended'; readonly task: LeftoverTask }
  /** No row has this id, and neither an attempt nor a run of it is open. */
  | { readonly kind: 'gone' };

/**
 * Returns what is known of each task. The caller must have listed files and processes before, so that a task that ends
 * in between counts as ended. Fails if Postgres or Temporal does not respond.
 */
export async function findTaskStates(
  { sql, temporal, host }: TaskKnowledge,
  ids: ReadonlySet<string>,
): Promise<Map<string, KnownTask>> {
  const rows = new Map((await findTasks(sql, [...ids])).map((row) => [row.id as string, row]));
  const attempts = await openAttempts(sql, host);
  const live = new Set<string>(
    attempts
      .filter((one) => isAlive({ pid: one.worker_pid, startTime: one.worker_start, bootId: one.boot_id }))
      .map((one) => one.task_id),
  );
  const where = new Map<string, KnownTask>();
  for (const id of ids) {
    const task = rows.get(id);
    const open = (task && !isFinal(task.state)) || live.has(id) || (await hasRun(temporal, id as TaskId));
    where.set(id, open ? { kind: 'at_work' } : task ? { kind: 'ended', task } : { kind: 'gone' });
  }
  return where;
}

/**
 * Returns whether the task has an open run. A task whose row is final may still have an open run, which executes the
 * closing steps.
 */
export async function hasRun(temporal: Client, id: TaskId): Promise<boolean> {
  for (const workflowId of [taskWorkflowId(id), settleWorkflowId(id)]) {
    try {
      const handle = temporal.workflow.getHandle(workflowId);
      const { status } = await temporal.withDeadline(Date.now() + ASK_MS, () => handle.describe());
      if (status.name === 'RUNNING') return true;
    } catch (error) {
      if (!isRunMissing(error)) throw error;
    }
  }
  return false;
}

export const taskLabel = (id: string): string => `task ${shortId(id)}`;

/** Returns why something of the task is a leftover: the task has no row, or has ended. */
export function reasonOf(id: string, where: Exclude<KnownTask, { kind: 'at_work' }>): string {
  return where.kind === 'gone'
    ? `${taskLabel(id)}, which has no row`
    : `${taskLabel(id)}, which is ${where.task.state}`;
}
