/** Names that Temporal stores: task queues, workflow ids, search attributes, signals and queries. */
import type { ChangeId, TaskId } from './ids.ts';

/**
 * The name that selects the native agent. `available_agents` does not list it. A task that names no agent gets the
 * native agent, too.
 */
export const NATIVE_AGENT = 'native';

/** The task queue of the workflows and of the steps that need only the database. */
export const WORKFLOW_QUEUE = 'longhaul';
/**
 * If a worker dies during a workflow task, the run continues only after this timeout. With Temporal's default of 10 s
 * this timeout was the longest wait after a `kill -9`. Histories are short, so a workflow task takes milliseconds.
 */
export const WORKFLOW_TASK_TIMEOUT = '3s';
/** The queue of the steps that work on a host's disk and need no agent slot: diff worktree, remove worktree, actions on changes. */
export const hostQueue = (host: string): string => `longhaul-host-${host}`;
/** The queue of the steps that hold an agent slot at Temporal: create worktree, dispatch agent. */
export const agentQueue = (host: string): string => `longhaul-agents-${host}`;
/**
 * The queue of the step that probes an agent. The step holds no agent slot, so an agent that hangs delays no step of a
 * task.
 */
export const probeQueue = (host: string): string => `longhaul-probes-${host}`;

/** The id of the workflow `task` of a task. */
export const taskWorkflowId = (taskId: TaskId): string => `task-${taskId}`;
/** The id of the workflow `settle`, which runs the closing steps of a task whose own run no longer exists. */
export const settleWorkflowId = (taskId: TaskId): string => `settle-${taskId}`;
/**
 * The workflow id of a probe; `snapshotId` is the id of a row of `agent_snapshots`. Temporal runs one workflow of an id
 * at a time, so no two probes of an agent in one project run together.
 */
export const probeWorkflowId = (snapshotId: string): string => `probe-agent-${snapshotId}`;
/**
 * The workflow id of an action. Temporal runs one workflow of an id at a time, so no two actions of the same kind on
 * one change run together.
 */
export const actionWorkflowId = (kind: 'apply' | 'undo', changeId: ChangeId): string => `${kind}-${changeId}`;

/**
 * The workflow id of a check of an agent's ability to resume; `snapshotId` is the id of the row whose probe started the
 * check.
 */
export const verifyResumeWorkflowId = (snapshotId: string): string => `verify-resume-${snapshotId}`;

/** The search attributes of the runs, by which Temporal lists them. */
export const SEARCH_ATTRIBUTES = {
  project: 'LonghaulProject',
  agent: 'LonghaulAgent',
  /**
   * The values are `queued`, `starting` if the start is slow, `working`, `waiting_permission`, `waiting_limit`, and
   * then the final state.
   */
  phase: 'LonghaulPhase',
} as const;

/** The name of the signal that requests the cancel of a task. */
export const CANCEL_TASK = 'cancelTask';
/** The name of the signal with which the dispatch step reports a turn's progress. */
export const AGENT_PROGRESS = 'agentProgress';
/** The name of the update that answers a permission request. */
export const ANSWER_PERMISSION = 'answerPermission';
/** The name of the signal that wakes a task that hibernates: one of its requests was answered. */
export const WAKE_TASK = 'wakeTask';
/** The name of the query for a task's status. */
export const TASK_STATUS = 'taskStatus';
