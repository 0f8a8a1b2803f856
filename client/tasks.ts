/** Queries tasks for REST and the CLI. */
import { type AttemptView, attemptViews } from '../store/attempt-views.ts';
import { type DiffView, findDiff, findPatch, taskBefore } from '../store/diffs.ts';
import type { Db } from '../store/sql.ts';
import {
  findTask,
  type ListedTask,
  listTaskViews,
  type TaskFilter,
  taskPage,
  type TaskPageFilter,
  type TaskView,
} from '../store/task-views.ts';
import type { TaskId } from '../contract/ids.ts';
import { taskWorkflowId } from '../contract/names.ts';
import { isFinal } from '../contract/task.ts';
import { listPage, type ListPage, type PageRequest, pageRange } from './pages.ts';
import { notFoundError, parseId } from './short-ids.ts';

export type { AttemptView, TaskFilter };

export interface ReadDeps {
  readonly sql: Db;
  readonly namespace?: string;
  /** The URL of Temporal's Web UI. If absent, `workflow_url` is null. */
  readonly temporalUiUrl?: string;
  /** The number of days that Temporal keeps the history of a run that has ended. Absent if it is not known. */
  readonly historyRetentionDays?: number;
}

interface TaskLinks {
  readonly workflow_id: string;
  /** The URL of the run in Temporal's Web UI. Null if there is no Web UI, or if Temporal has deleted the history. */
  readonly workflow_url: string | null;
  /**
   * The time until which Temporal keeps the history of the run. Null if the task has not ended, or if the time is not
   * known.
   */
  readonly history_kept_until: string | null;
  /** The operations that the task accepts now. */
  readonly actions: readonly TaskAction[];
}

export type WithTaskLinks<Task> = Task & TaskLinks;
export type TaskDescription = WithTaskLinks<TaskView>;

export const TASK_ACTIONS = ['cancel', 'edit', 'move', 'dequeue', 'reply', 'retry', 'remove'] as const;
export type TaskAction = (typeof TASK_ACTIONS)[number];

/** Describes one task. Fails with `task_not_found`, or with `invalid_input` for an invalid task id. */
export async function describe(deps: ReadDeps, taskId: TaskId): Promise<TaskDescription> {
  const task = await findTask(deps.sql, parseId('task', taskId));
  if (!task) throw notFoundError('task', taskId);
  return withLinks(deps, task);
}

/** Lists the attempts of the task's turn, the oldest first. */
export const listAttempts = ({ sql }: Pick<ReadDeps, 'sql'>, taskId: TaskId): Promise<AttemptView[]> =>
  attemptViews(sql, taskId);

/** Returns the task of the same session whose result commit is the base of the given change. */
export async function taskBuiltOn(
  deps: ReadDeps,
  taskId: TaskId,
  change: { readonly base_commit: string | null } | null,
): Promise<TaskId | undefined> {
  return change?.base_commit ? taskBefore(deps.sql, taskId, change.base_commit) : undefined;
}

export async function listTasks(deps: ReadDeps, filter: TaskFilter): Promise<TaskDescription[]> {
  return (await listTaskViews(deps.sql, filter)).map((task) => withLinks(deps, task));
}

/** Lists tasks in pages, the newest first. The input of each task is cut. */
export async function pageOfTasks(
  deps: ReadDeps,
  filter: TaskPageFilter,
  page: PageRequest,
): Promise<ListPage<WithTaskLinks<ListedTask>>> {
  return listPage(await taskPage(deps.sql, filter, pageRange(page)), (task) => withLinks(deps, task));
}

/**
 * Returns the task's change as text, or `undefined` if the task has no change (yet). Fails with `task_not_found` or
 * `invalid_input`.
 */
export async function getDiff(deps: ReadDeps, id: TaskId): Promise<DiffView | undefined> {
  const taskId = parseId('task', id);
  const diff = await findDiff(deps.sql, taskId);
  if (!diff && !(await findTask(deps.sql, taskId))) throw notFoundError('task', taskId);
  return diff;
}

/** Returns the patch, byte for byte. Null if another program made the change and stored no patch. */
export const getPatch = ({ sql }: ReadDeps, change: DiffView): Promise<Buffer | null> =>
  findPatch(sql, change.change_id);

type LinkedFacts = Pick<TaskView, 'id' | 'run_id' | 'session_id' | 'state' | 'cancel_requested_at' | 'ended_at'>;

const DAY_MS = 86_400_000;

/**
 * Returns the time until which Temporal keeps the history. Returns `undefined` if the task is open, or if the retention
 * of histories is not known.
 */
function historyKeptUntil(endedAt: string | null, days: number | undefined): Date | undefined {
  const ms = endedAt === null || days === undefined ? Number.NaN : Date.parse(endedAt) + days * DAY_MS;
  const until = new Date(ms);
  return Number.isNaN(until.getTime()) ? undefined : until;
}

function withLinks<Task extends LinkedFacts>(
  { namespace = 'default', temporalUiUrl, historyRetentionDays }: ReadDeps,
  task: Task,
): WithTaskLinks<Task> {
  const workflowId = taskWorkflowId(task.id);
  const keptUntil = historyKeptUntil(task.ended_at, historyRetentionDays);
  const kept = keptUntil === undefined || keptUntil.getTime() > Date.now();
  const url =
    temporalUiUrl && kept
      ? `${temporalUiUrl.replace(/\/$/, '')}/namespaces/${namespace}/workflows/${workflowId}${task.run_id ? `/${task.run_id}` : ''}`
      : null;
  const history = keptUntil?.toISOString() ?? null;
  return { ...task, workflow_id: workflowId, workflow_url: url, history_kept_until: history, actions: actionsOf(task) };
}

/**
 * Returns the operations that the task accepts now. An open task whose cancel is already requested cannot be cancelled
 * again, because a second request changes nothing. A waiting task can be edited, and also moved if it belongs to a
 * session. A task with a session accepts a reply.
 */
function actionsOf({ state, session_id, run_id, cancel_requested_at }: LinkedFacts): TaskAction[] {
  const reply: TaskAction[] = session_id === null ? [] : ['reply'];
  if (isFinal(state)) return [...reply, 'retry', 'remove'];
  if (cancel_requested_at !== null) return reply;
  if (state !== 'pending' || run_id !== null) return ['cancel', ...reply];
  return ['cancel', 'edit', ...(session_id === null ? [] : (['move'] as const)), 'dequeue', ...reply];
}
