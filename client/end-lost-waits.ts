/**
 * Cancels runs that wait for a provider's limit or for an answer although another program has made their task's row
 * final or deleted it. While an agent works, the dispatch step checks the row. While the workflow waits, which may take
 * days, it does not check the row. Such a run gets a cancel signal; its closing steps store what the agent wrote and
 * free the worktree.
 */
import type { Client } from '@temporalio/client';
import { openTasks } from '../store/queue.ts';
import type { Sql } from '../store/sql.ts';
import type { TaskId } from '../contract/ids.ts';
import { SEARCH_ATTRIBUTES, taskWorkflowId } from '../contract/names.ts';
import type { Phase } from '../contract/task.ts';
import { signalCancel } from './cancel.ts';
import { isUuid } from './short-ids.ts';

const LIST_MS = 10_000;
const WAITING: readonly Phase[] = ['waiting_limit', 'waiting_permission'];
const PREFIX = taskWorkflowId('' as TaskId);

/** Signals such runs. Returns the number of runs that were signalled. */
export async function endLostWaits({ sql, temporal }: { sql: Sql; temporal: Client }): Promise<number> {
  const waiting = await temporal.withDeadline(Date.now() + LIST_MS, () => waitingTasks(temporal));
  const open = new Set(await openTasks(sql, waiting));
  let signalled = 0;
  for (const taskId of waiting.filter((id) => !open.has(id))) {
    if (await signalCancel(temporal, taskId)) signalled += 1;
  }
  return signalled;
}

async function waitingTasks(temporal: Client): Promise<TaskId[]> {
  const query = `${SEARCH_ATTRIBUTES.phase} IN (${WAITING.map((phase) => `'${phase}'`).join(', ')}) AND ExecutionStatus = 'Running'`;
  const found: TaskId[] = [];
  for await (const { workflowId } of temporal.workflow.list({ query })) {
    const id = workflowId.slice(PREFIX.length);
    if (workflowId.startsWith(PREFIX) && isUuid(id)) found.push(id as TaskId);
  }
  return found;
}
