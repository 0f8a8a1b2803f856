/** Reads and changes the queue of a session. The queue has the tasks of the session that wait. */
import { shortId, type SessionId, type TaskId } from '../contract/ids.ts';
import { LonghaulError } from '../contract/errors.ts';
import { isFinal, type TaskState } from '../contract/task.ts';
import {
  editQueued,
  moveQueued,
  type QueueChange,
  queueState,
  type QueueState,
  removeQueued,
  setQueue,
} from '../store/session-queue.ts';
import { taskPlace } from '../store/sessions.ts';
import type { Sql } from '../store/sql.ts';
import { refuseInvalidTaskValues } from '../store/task-limits.ts';
import type { Transition } from '../store/transition.ts';
import { wellFormedText } from '../store/well-formed.ts';
import { findId, notFoundError, parseId } from './short-ids.ts';

export type { QueueState };

interface Deps {
  readonly sql: Sql;
}

/** The maximum number of tasks that `getQueue` returns. The field `waiting` counts all waiting tasks. */
const SHOWN_TASKS = 100;

/** Returns the queue of a session. Fails with `session_not_found`. */
export async function getQueue({ sql }: Deps, id: SessionId): Promise<QueueState> {
  const sessionId = parseId('session', id);
  // All reads see one state of the database, so that a task that starts meanwhile is neither counted twice nor missed.
  const queue = await sql.begin('ISOLATION LEVEL REPEATABLE READ READ ONLY', (tx) =>
    queueState(tx, sessionId, SHOWN_TASKS),
  );
  if (!queue) throw notFoundError('session', sessionId);
  return queue;
}

/** Holds or releases the queue, or sets what the queue does after a failed task. Fails with `session_not_found`. */
export async function changeQueue({ sql }: Deps, change: QueueChange): Promise<QueueState> {
  const sessionId = parseId('session', change.sessionId);
  if (!(await sql.begin((tx) => setQueue(tx, { ...change, sessionId })))) throw notFoundError('session', sessionId);
  return getQueue({ sql }, sessionId);
}

/**
 * Changes the text of a waiting task. Fails with `task_not_queued` if the task no longer waits, with `task_not_found`,
 * or with `invalid_input` if the text is empty or too long.
 */
export async function editTask({ sql }: Deps, id: TaskId, text: string): Promise<void> {
  const taskId = parseId('task', id);
  const input = wellFormedText(text);
  if (input.trim() === '') {
    throw new LonghaulError('invalid_input', 'input is empty: say what the agent is to do, or remove the task.');
  }
  refuseInvalidTaskValues({ input });
  refuseLost(taskId, await sql.begin((tx) => editQueued(tx, { taskId, input })), 'edited');
}

/**
 * Moves a waiting task to a place in the queue, counted from 1. A place after the last task means the end of the queue.
 * Fails with `task_not_queued` if the task no longer waits or has no session, or with `task_not_found`.
 */
export async function moveTask({ sql }: Deps, id: TaskId, place: number): Promise<QueueState> {
  const taskId = parseId('task', id);
  if (!Number.isInteger(place) || place < 1) {
    throw new LonghaulError('invalid_input', `place: expected a whole number from 1 (next), found ${place}.`);
  }
  const sessionId = await sessionOfTask({ sql }, taskId);
  refuseLost(taskId, await sql.begin((tx) => moveQueued(tx, { taskId, sessionId, place })), 'moved');
  return getQueue({ sql }, sessionId);
}

/**
 * Removes a waiting task from the queue: the task ends as cancelled. Fails with `task_not_queued` if the task no longer
 * waits, or with `task_not_found`.
 */
export async function dequeueTask({ sql }: Deps, id: TaskId): Promise<void> {
  const taskId = parseId('task', id);
  refuseLost(taskId, await sql.begin((tx) => removeQueued(tx, taskId)), 'removed from the queue');
}

/**
 * Returns the session of a task. Fails with `task_not_found`, or with `session_not_found` if the task has no session
 * yet.
 */
export async function sessionOfTask({ sql }: Deps, taskId: TaskId): Promise<SessionId> {
  const task = await taskPlace(sql, taskId);
  if (!task) throw notFoundError('task', taskId);
  if (task.sessionId !== null) return task.sessionId;
  throw new LonghaulError(
    'session_not_found',
    `Task ${taskId} has no session: ${isFinal(task.state) ? 'it ended before it started' : 'it gets one when it starts. Try again then'}.`,
  );
}

/**
 * Returns the session that a user names. The text is the id of the session or of one of its tasks, or the beginning of
 * such an id.
 */
export async function resolveSession({ sql }: Deps, text: string): Promise<SessionId> {
  const session = await findId(sql, 'session', text);
  if (session !== undefined) return session;
  const task = await findId(sql, 'task', text);
  if (task !== undefined) return sessionOfTask({ sql }, task);
  throw new LonghaulError(
    'session_not_found',
    `There is no session or task ${text}. \`longhaul ls\` and \`longhaul ls --sessions\` list them.`,
  );
}

/**
 * Throws an error if the transition lost its compare-and-set. The message names the state that the task has instead.
 */
function refuseLost(taskId: TaskId, transition: Transition, what: string): void {
  if (transition.kind === 'moved') return;
  if (transition.state === undefined) throw notFoundError('task', taskId);
  const id = shortId(taskId);
  const state = transition.state as TaskState;
  const now = isFinal(state)
    ? `is ${state}`
    : state === 'pending'
      ? 'is about to start or to be cancelled'
      : `is ${state}: \`longhaul cancel ${id}\` ends it`;
  throw new LonghaulError('task_not_queued', `Task ${taskId} ${now}. Only a task that waits can be ${what}.`);
}
