/** Names that Temporal knows: task queues, workflow ids, search attributes, signals and queries. */
import type { TaskId } from './ids.ts';

export const WORKFLOW_QUEUE = 'longhaul';
/**
 * A worker that dies while it decides what comes next holds the run up for this long; Temporal's default of
 * 10 s was the longest wait after a `kill -9`. Histories are short, so deciding takes milliseconds.
 */
export const WORKFLOW_TASK_TIMEOUT = '3s';
/** Steps on a host's disk that need no agent slot: diff, remove. */
export const hostQueue = (host: string): string => `longhaul-host-${host}`;
/** Steps that hold an agent slot: create worktree, dispatch. */
export const agentQueue = (host: string): string => `longhaul-agents-${host}`;

export const taskWorkflowId = (taskId: TaskId): string => `task-${taskId}`;
export const settleWorkflowId = (taskId: TaskId): string => `settle-${taskId}`;

export const SEARCH_ATTRIBUTES = {
  project: 'LonghaulProject',
  agent: 'LonghaulAgent',
  /** `queued`, `starting` if that takes long, `working`, `waiting_permission`, `waiting_limit`; then how the task ended. */
  phase: 'LonghaulPhase',
} as const;

export const CANCEL_TASK = 'cancelTask';
export const AGENT_PROGRESS = 'agentProgress';
export const ANSWER_PERMISSION = 'answerPermission';
export const TASK_STATUS = 'taskStatus';
