/**
 * Reads and changes the queue of a session: its waiting tasks, in the order in which they start. Each change of a task
 * is a compare-and-set against intake's claim, and appends its frames in the same transaction.
 *
 * Each function locks the waiting tasks first and then the session's row, as all other code does. A change of the order
 * gives each waiting task a new position below all earlier ones. So a claim that began before the change finds no task
 * at the position that it read (`claimTasks`), and a task that is submitted later comes last.
 */
import { randomUUID } from 'node:crypto';
import { head } from '../contract/cut-text.ts';
import { QUEUE_FRAME_TASKS, type SessionQueue } from '../contract/frame.ts';
import type { ChatId, MessageId, SessionId, TaskId } from '../contract/ids.ts';
import { ON_FAILURE, type OnFailure } from '../contract/vocabulary.ts';
import { appendKeyed, type KeyedFrame } from './append-frames.ts';
import { TASKS_CHANNEL } from './channels.ts';
import { FRAME_INPUT_CHARS } from './open-task.ts';
import { isoTime, shownText } from './pages.ts';
import { inQueueOrder, isWaiting } from './queue.ts';
import { lockSession } from './sessions.ts';
import type { Db, Tx } from './sql.ts';
import { type Transition, transitionOf } from './transition.ts';

/** A waiting task of a queue. */
export interface QueuedTask {
  readonly task_id: TaskId;
  /** The beginning of the task's input. */
  readonly input: string;
  readonly agent: string | null;
  readonly model: string | null;
  readonly chat_id: ChatId | null;
  readonly created_at: string | null;
}

export interface QueueState extends Omit<SessionQueue, 'tasks'> {
  /** The task of the session that intake has claimed and that has not ended. Null if there is none. */
  readonly running: TaskId | null;
  readonly tasks: readonly QueuedTask[];
}

const INPUT_CHARS = 1_000;

/** Returns the queue with its first `limit` tasks. Returns undefined if the session does not exist. */
export async function queueState(db: Db, sessionId: SessionId, limit: number): Promise<QueueState | undefined> {
  const settings = await queueSettings(db, sessionId);
  if (!settings) return undefined;
  const tasks = await db<QueuedTask[]>`
    SELECT t.id AS task_id, left(coalesce(t.input, ''), ${INPUT_CHARS}) AS input, ${shownText(db, 't', 'agent', 'model')}
           t.chat_id, ${isoTime(db, 'created_at')}
      FROM tasks t WHERE t.session_id = ${sessionId} AND ${isWaiting(db)} ORDER BY ${inQueueOrder(db)} LIMIT ${limit}`;
  return { ...settings, running: (await claimedTask(db, sessionId)) ?? null, tasks: [...tasks] };
}

type QueueSettings = Omit<SessionQueue, 'tasks'>;

async function queueSettings(db: Db, sessionId: SessionId): Promise<QueueSettings | undefined> {
  const [row] = await db<(Omit<QueueSettings, 'on_failure'> & { on_failure: string | null })[]>`
    SELECT to_char(s.queue_held_since AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') AS held_since,
           CASE WHEN s.queue_held_since IS NOT NULL THEN s.queue_held_after END AS held_after, s.queue_on_failure AS on_failure,
           (SELECT count(*) FROM tasks t WHERE t.session_id = s.id AND ${isWaiting(db)}) AS waiting
      FROM sessions s WHERE s.id = ${sessionId}`;
  return row && { ...row, on_failure: ON_FAILURE.find((one) => one === row.on_failure) ?? 'continue' };
}

/** Returns the queue in the form of frames and snapshots. */
export async function sessionQueue(db: Db, sessionId: SessionId): Promise<SessionQueue> {
  const settings = await queueSettings(db, sessionId);
  const rows = await db<{ id: TaskId }[]>`
    SELECT t.id FROM tasks t WHERE t.session_id = ${sessionId} AND ${isWaiting(db)}
     ORDER BY ${inQueueOrder(db)} LIMIT ${QUEUE_FRAME_TASKS}`;
  const none = { waiting: 0, held_since: null, held_after: null, on_failure: 'continue' as const };
  return { ...(settings ?? none), tasks: rows.map(({ id }) => id) };
}

/** Returns the task of the session that is claimed and has not ended. */
async function claimedTask(db: Db, sessionId: SessionId): Promise<TaskId | undefined> {
  const [row] = await db<{ id: TaskId }[]>`
    SELECT id FROM tasks WHERE session_id = ${sessionId} AND claimed_at IS NOT NULL AND ended_at IS NULL LIMIT 1`;
  return row?.id;
}

/**
 * Changes the input of a waiting task, and its user message. The frame that it appends replaces the user message.
 * Returns `superseded` if the task no longer waits.
 */
export async function editQueued(tx: Tx, { taskId, input }: { taskId: TaskId; input: string }): Promise<Transition> {
  const rows = await tx<{ session_id: SessionId | null }[]>`
    UPDATE tasks t SET input = ${input} WHERE t.id = ${taskId} AND ${isWaiting(tx)} RETURNING t.session_id`;
  const transition = await transitionOf(tx, taskId, rows);
  if (transition.kind === 'moved' && transition.sessionId !== null) {
    await appendKeyed(tx, transition.sessionId, await changedMessages(tx, taskId, { content: input }));
  }
  return transition;
}

/** Changes the user messages of a task, and returns the frames that show the new text. */
async function changedMessages(
  tx: Tx,
  taskId: TaskId,
  change: { readonly content: string } | { readonly status: 'cancelled' },
): Promise<KeyedFrame[]> {
  const rows = await tx<{ id: MessageId; chat_id: ChatId; content: string | null; status: string | null }[]>`
    UPDATE messages SET ${tx(change)} WHERE task_id = ${taskId} AND role = 'user'
    RETURNING id, chat_id, left(content, ${FRAME_INPUT_CHARS + 1}) AS content, status`;
  return rows.map(({ id, chat_id, content, status }) => ({
    key: `${taskId}:user-message:${randomUUID()}`,
    taskId,
    body: {
      type: 'message',
      message_id: id,
      chat_id,
      role: 'user',
      content: head(content ?? '', FRAME_INPUT_CHARS),
      status: status ?? 'complete',
    },
  }));
}

/**
 * Ends a waiting task as cancelled, without a run. The queue is not held because of it. Returns `superseded` if the
 * task no longer waits.
 */
export async function removeQueued(tx: Tx, taskId: TaskId): Promise<Transition> {
  const summary = 'Removed from the queue before it started.';
  const rows = await tx<{ session_id: SessionId | null }[]>`
    UPDATE tasks t SET state = 'cancelled', phase = 'cancelled', ended_at = clock_timestamp(), output_summary = ${summary},
           cancel_requested_at = clock_timestamp()
     WHERE t.id = ${taskId} AND ${isWaiting(tx)} RETURNING t.session_id`;
  const transition = await transitionOf(tx, taskId, rows);
  if (transition.kind === 'superseded' || transition.sessionId === null) return transition;
  const { sessionId } = transition;
  const messages = await changedMessages(tx, taskId, { status: 'cancelled' });
  const body = { type: 'task_state', state: 'cancelled', phase: 'cancelled', output_summary: summary } as const;
  await appendQueue(tx, sessionId, [...messages, { key: `${taskId}:end`, taskId, body }]);
  return transition;
}

/**
 * Moves a waiting task to a place in its session's queue, counted from 1. A place after the last task means the end of
 * the queue. Returns `superseded` if the task no longer waits or has no session.
 */
export async function moveQueued(
  tx: Tx,
  { taskId, sessionId, place }: { taskId: TaskId; sessionId: SessionId; place: number },
): Promise<Transition> {
  const waiting = await lockWaiting(tx, sessionId);
  if (!waiting.includes(taskId)) return transitionOf(tx, taskId, []);
  const others = waiting.filter((id) => id !== taskId);
  await renumber(tx, [...others.slice(0, place - 1), taskId, ...others.slice(place - 1)]);
  await appendQueue(tx, sessionId);
  await wakeIntake(tx, sessionId);
  return { kind: 'moved', sessionId };
}

/**
 * Locks the waiting tasks of the session, and returns them in their order. No process can claim them until the
 * transaction ends.
 */
async function lockWaiting(tx: Tx, sessionId: SessionId): Promise<TaskId[]> {
  // The rows are locked in the order of their ids, so that two transactions that lock the same tasks wait for each
  // other without a deadlock.
  await tx`SELECT FROM tasks t WHERE t.session_id = ${sessionId} AND ${isWaiting(tx)} ORDER BY t.id FOR UPDATE`;
  const rows = await tx<{ id: TaskId }[]>`
    SELECT t.id FROM tasks t WHERE t.session_id = ${sessionId} AND ${isWaiting(tx)} ORDER BY ${inQueueOrder(tx)}`;
  return rows.map(({ id }) => id);
}

/**
 * The lowest position that `renumber` starts from. It is half the minimum of a bigint, so a subtraction from it cannot
 * overflow.
 */
const LOWEST_POSITION = '-4611686018427387904';

/** Gives the tasks new positions in this order. All are below the lowest position that one of the tasks had. */
async function renumber(tx: Tx, ids: readonly TaskId[]): Promise<void> {
  await tx`
    UPDATE tasks t SET queue_position = lowest.position - ${ids.length} - 1 + o.place
      FROM unnest(${[...ids]}::uuid[]) WITH ORDINALITY AS o (id, place),
           (SELECT least(0, greatest(min(queue_position), ${LOWEST_POSITION}::bigint)) AS position FROM tasks WHERE id = ANY (${[...ids]}::uuid[])) AS lowest
     WHERE t.id = o.id AND ${isWaiting(tx)}`;
}

export interface QueueChange {
  readonly sessionId: SessionId;
  /** True to hold the queue, false to release it. Undefined to leave it as it is. */
  readonly held?: boolean | undefined;
  readonly onFailure?: OnFailure | undefined;
}

/**
 * Holds or releases the queue, or sets what the queue does after a failed task. Returns false if the session does not
 * exist.
 */
export async function setQueue(tx: Tx, { sessionId, held, onFailure }: QueueChange): Promise<boolean> {
  // New positions are needed because a claim that began before this transaction would otherwise start a task of the
  // held queue.
  if (held) await renumber(tx, await lockWaiting(tx, sessionId));
  const rows = await tx`
    UPDATE sessions
       SET queue_held_since = ${held === undefined ? tx`queue_held_since` : held ? tx`coalesce(queue_held_since, clock_timestamp())` : null},
           queue_held_after = ${held === false ? null : tx`queue_held_after`},
           queue_on_failure = ${onFailure ?? tx`queue_on_failure`}
     WHERE id = ${sessionId} RETURNING id`;
  if (rows.length === 0) return false;
  await appendQueue(tx, sessionId);
  return true;
}

/**
 * Holds the queue of a session after one of its tasks failed or was cancelled, if the session's `on_failure` is `hold`
 * and tasks wait. The caller's transaction has ended the task.
 */
export async function holdAfterFailure(tx: Tx, sessionId: SessionId, taskId: TaskId): Promise<void> {
  const rows = await tx`
    UPDATE sessions SET queue_held_since = clock_timestamp(), queue_held_after = ${taskId}
     WHERE id = ${sessionId} AND queue_on_failure = 'hold' AND queue_held_since IS NULL
       AND EXISTS (SELECT FROM tasks t WHERE t.session_id = ${sessionId} AND ${isWaiting(tx)})
    RETURNING id`;
  if (rows.length > 0) await appendQueue(tx, sessionId);
}

/**
 * Requests the cancel of the session's running task, because a task that is about to be inserted interrupts it. Returns
 * the running task and a position before all waiting tasks, which the caller gives to the new task. No waiting task can
 * be claimed until the transaction ends.
 */
export async function interruptSession(
  tx: Tx,
  { sessionId, by }: { sessionId: SessionId; by: TaskId },
): Promise<{ readonly interrupted: TaskId | undefined; readonly position: string }> {
  await renumber(tx, await lockWaiting(tx, sessionId));
  const [running] = await tx<{ id: TaskId }[]>`
    UPDATE tasks SET interrupted_by = ${by}, cancel_requested_at = coalesce(cancel_requested_at, clock_timestamp()),
                     cancel_reason = CASE WHEN cancel_requested_at IS NULL THEN ${'Interrupted by the next message.'} ELSE cancel_reason END
     WHERE session_id = ${sessionId} AND claimed_at IS NOT NULL AND ended_at IS NULL AND state IN ('pending', 'running')
    RETURNING id`;
  const [lowest] = await tx<{ position: string }[]>`
    SELECT (least(0, min(t.queue_position)) - 1)::text AS position FROM tasks t WHERE t.session_id = ${sessionId} AND ${isWaiting(tx)}`;
  return { interrupted: running?.id, position: lowest?.position ?? '0' };
}

/**
 * Appends a frame with the present queue. It locks the session's row first, so that a later frame never has an older
 * queue.
 */
export async function appendQueue(tx: Tx, sessionId: SessionId, before: readonly KeyedFrame[] = []): Promise<void> {
  await lockSession(tx, sessionId);
  const body = { type: 'queue', ...(await sessionQueue(tx, sessionId)) } as const;
  await appendKeyed(tx, sessionId, [...before, { key: `queue:${randomUUID()}`, body }]);
}

/**
 * Makes intake look again for tasks to claim. Intake skips locked rows, so it may have skipped the rows of this
 * transaction.
 */
async function wakeIntake(tx: Tx, sessionId: SessionId): Promise<void> {
  await tx`SELECT pg_notify(${TASKS_CHANNEL}, ${sessionId})`;
}
