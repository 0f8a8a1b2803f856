/**
 * Reads and changes task rows as the queue that intake serves. `claimed_at` means that a process is starting the task's
 * run. `run_id` means that the run was started. The unique index on a session's open claim ensures that its tasks run
 * one after another.
 */
import type { SessionId, TaskId } from '../contract/ids.ts';
import type { TaskState } from '../contract/task.ts';
import { type Db, sqlCode } from './sql.ts';
import { type Transition, transitionOf } from './transition.ts';

/** A claim of this age without a run is stale: its process died, or its call to Temporal was lost. */
const STALE_CLAIM = '10 seconds';
/**
 * A stored time that is further in the future than this counts as past. Longhaul did not write it, because the stored
 * and the present time are both from the database's clock.
 */
const CLOCK_STEP = '10 seconds';
/**
 * The process that stores a cancel request also signals the task's workflow. If the task is still open after this time,
 * intake sends the signal again.
 */
const CANCEL_GRACE = '1 second';
const UNIQUE_VIOLATION = '23505';

export interface ClaimedTask {
  readonly id: TaskId;
  readonly project: string | null;
  readonly agent: string | null;
  readonly priority: number | null;
  /** The beginning of the task's input. */
  readonly input: string | null;
}

/**
 * Claims up to `limit` tasks that may start, the oldest first. A task without a session may start. The first waiting
 * task of a session may start if no other task of the session is open and the session's queue is not held. Several
 * processes may call this function at the same time.
 *
 * The statement compares the position again on the locked row. A reorder, a hold or an interrupt gives each waiting
 * task of its session another position. So if one was committed after the statement began, the statement claims none of
 * these tasks.
 */
export async function claimTasks(db: Db, limit: number): Promise<ClaimedTask[]> {
  try {
    return [
      ...(await db<ClaimedTask[]>`
        WITH next AS MATERIALIZED (
          SELECT t.id FROM tasks t JOIN tasks seen ON seen.id = t.id AND seen.queue_position = t.queue_position
           WHERE ${isNext(db)} ORDER BY t.created_at, t.id LIMIT ${limit} FOR UPDATE OF t SKIP LOCKED
        ), claimed AS (
          UPDATE tasks t SET claimed_at = clock_timestamp() FROM next WHERE t.id = next.id RETURNING t.*
        )
        ${claimedTasks(db)}`),
    ];
  } catch (error) {
    // Another process claimed a task of one of these sessions meanwhile. The tasks of the other sessions must still
    // start.
    if (sqlCode(error) === UNIQUE_VIOLATION) return claimOneByOne(db, limit);
    throw error;
  }
}

/** SQL condition: the task `t` waits in the queue, and no process has started it. */
export const isWaiting = (db: Db) => db`
  t.state = 'pending' AND t.claimed_at IS NULL AND t.run_id IS NULL AND t.cancel_requested_at IS NULL`;

/**
 * SQL: the order of the waiting tasks `t` of a session. A task without a creation time comes first among the tasks of
 * its position.
 */
export const inQueueOrder = (db: Db) => db`t.queue_position, coalesce(t.created_at, '-infinity'), t.id`;

/**
 * SQL condition: the task `t` may start. A task without a creation time is sorted first, so that any two tasks have an
 * order.
 */
const isNext = (db: Db) => db`
  ${isWaiting(db)}
    AND NOT EXISTS (SELECT FROM sessions s WHERE s.id = t.session_id AND s.queue_held_since IS NOT NULL)
    AND (t.session_id IS NULL OR NOT EXISTS (
      SELECT FROM tasks o
       WHERE o.session_id = t.session_id AND o.id <> t.id
         AND ((o.claimed_at IS NOT NULL AND o.ended_at IS NULL)
           OR (o.state = 'pending' AND o.cancel_requested_at IS NULL
             AND (o.queue_position, coalesce(o.created_at, '-infinity'), o.id)
               < (${inQueueOrder(db)})))))`;

const claimedTasks = (db: Db) => db`
  SELECT c.id, left(p.name, 1000) AS project, left(c.agent, 1000) AS agent, c.priority, left(c.input, 1000) AS input
    FROM claimed c LEFT JOIN projects p ON p.id = c.project_id ORDER BY c.created_at, c.id`;

async function claimOneByOne(db: Db, limit: number): Promise<ClaimedTask[]> {
  const next = await db<{ id: TaskId; position: string }[]>`
    SELECT t.id, t.queue_position::text AS position FROM tasks t WHERE ${isNext(db)} ORDER BY t.created_at, t.id LIMIT ${limit}`;
  const all: ClaimedTask[] = [];
  for (const { id, position } of next) {
    try {
      all.push(
        ...(await db<ClaimedTask[]>`
          WITH claimed AS (
            UPDATE tasks t SET claimed_at = clock_timestamp()
             WHERE t.id = ${id} AND t.queue_position = ${position}::bigint AND ${isNext(db)} RETURNING t.*
          )
          ${claimedTasks(db)}`),
      );
    } catch (error) {
      if (sqlCode(error) !== UNIQUE_VIOLATION) throw error;
    }
  }
  return all;
}

/**
 * Ends claims that would block the next task of their session: rows that have ended and have a claim, but have no end
 * time. Other programs, or tables that are older than Longhaul, may contain such rows.
 */
export async function closeEndedClaims(db: Db): Promise<number> {
  const rows = await db`
    UPDATE tasks SET ended_at = clock_timestamp()
     WHERE claimed_at IS NOT NULL AND ended_at IS NULL AND (state IS NULL OR state NOT IN ('pending', 'running')) RETURNING id`;
  return rows.length;
}

/** Takes over claims that led to no run. The run may still exist, if the response to its start was lost. */
export async function takeStaleClaims(db: Db, limit: number): Promise<ClaimedTask[]> {
  return [
    ...(await db<ClaimedTask[]>`
      WITH stale AS MATERIALIZED (
        SELECT id FROM tasks
         WHERE state IN ('pending', 'running') AND run_id IS NULL
           AND claimed_at NOT BETWEEN clock_timestamp() - ${STALE_CLAIM}::interval AND clock_timestamp() + ${CLOCK_STEP}::interval
         ORDER BY created_at, id LIMIT ${limit} FOR UPDATE SKIP LOCKED
      ), claimed AS (
        UPDATE tasks t SET claimed_at = clock_timestamp() FROM stale WHERE t.id = stale.id RETURNING t.*
      )
      ${claimedTasks(db)}`),
  ];
}

/** Stores that the run was started. Returns `superseded` if the row already has a run, which may be the same run. */
export async function storeRun(db: Db, taskId: TaskId, runId: string): Promise<Transition> {
  const rows = await db<{ session_id: SessionId | null }[]>`
    UPDATE tasks SET run_id = ${runId} WHERE id = ${taskId} AND run_id IS NULL RETURNING session_id`;
  return transitionOf(db, taskId, rows);
}

/** Releases the claim of a pending task whose row names no run. */
export async function releaseClaim(db: Db, taskId: TaskId): Promise<Transition> {
  const rows = await db<{ session_id: SessionId | null }[]>`
    UPDATE tasks SET claimed_at = NULL WHERE id = ${taskId} AND state = 'pending' AND run_id IS NULL RETURNING session_id`;
  return transitionOf(db, taskId, rows);
}

/**
 * SQL: the reason of the cancel request. A reason may have any length in the row. It is cut here, because Temporal
 * limits a signal's payload and a summary.
 */
const reason = (db: Db) => db`left(cancel_reason, 400)`;

export interface CancelRequest {
  readonly id: TaskId;
  readonly reason: string | null;
}

/**
 * Returns the cancel requests of tasks without a claim. No run of such a task exists, so the task can be ended at once.
 * If its row is `running`, another program wrote that state, or the row is older than Longhaul.
 */
export async function cancelsBeforeStart(db: Db): Promise<CancelRequest[]> {
  return [
    ...(await db<CancelRequest[]>`
      SELECT id, ${reason(db)} AS reason FROM tasks
       WHERE state IN ('pending', 'running') AND claimed_at IS NULL AND run_id IS NULL
         AND cancel_requested_at IS NOT NULL ORDER BY created_at`),
  ];
}

/** Returns the cancel requests of tasks that have a run, or for which a process is starting one. */
export async function cancelsToSignal(db: Db): Promise<CancelRequest[]> {
  return [
    ...(await db<CancelRequest[]>`
      SELECT id, ${reason(db)} AS reason FROM tasks
       WHERE state IN ('pending', 'running') AND (claimed_at IS NOT NULL OR run_id IS NOT NULL)
         AND cancel_requested_at
             NOT BETWEEN clock_timestamp() - ${CANCEL_GRACE}::interval AND clock_timestamp() + ${CLOCK_STEP}::interval
       ORDER BY cancel_requested_at`),
  ];
}

/**
 * Removes the run from an open task and makes its claim stale, so that the next check of any intake starts a new run.
 * Returns `superseded` if the task has ended or has another run, or if a cancel was requested.
 */
export async function forgetRun(db: Db, taskId: TaskId, runId: string): Promise<Transition> {
  const rows = await db<{ session_id: SessionId | null }[]>`
    UPDATE tasks SET run_id = NULL, claimed_at = clock_timestamp() - ${STALE_CLAIM}::interval
     WHERE id = ${taskId} AND run_id = ${runId} AND state IN ('pending', 'running') AND cancel_requested_at IS NULL
    RETURNING session_id`;
  return transitionOf(db, taskId, rows);
}

export interface OpenRun {
  readonly id: TaskId;
  readonly state: TaskState;
  readonly runId: string;
  readonly cancelRequested: boolean;
}

/** Returns the tasks that should have an open run, according to their rows. */
export async function openRuns(db: Db): Promise<OpenRun[]> {
  return [
    ...(await db<OpenRun[]>`
      SELECT id, state, run_id AS "runId", cancel_requested_at IS NOT NULL AS "cancelRequested"
        FROM tasks WHERE state IN ('pending', 'running') AND run_id IS NOT NULL ORDER BY created_at`),
  ];
}

/** Returns the tasks in state `running` that have neither a claim nor a known run. No run would ever end them. */
export async function runningWithoutRun(db: Db): Promise<TaskId[]> {
  const rows = await db<{ id: TaskId }[]>`
    SELECT id FROM tasks
     WHERE state = 'running' AND claimed_at IS NULL AND run_id IS NULL AND cancel_requested_at IS NULL
     ORDER BY created_at`;
  return rows.map(({ id }) => id);
}

export async function isOpen(db: Db, taskId: TaskId): Promise<boolean> {
  const rows = await db`SELECT FROM tasks WHERE id = ${taskId} AND state IN ('pending', 'running')`;
  return rows.length > 0;
}

/** Returns those of `ids` whose task is open. */
export async function openTasks(db: Db, ids: readonly TaskId[]): Promise<TaskId[]> {
  if (ids.length === 0) return [];
  const rows = await db<{ id: TaskId }[]>`
    SELECT id FROM tasks WHERE id = ANY (${[...ids]}::uuid[]) AND state IN ('pending', 'running')`;
  return rows.map(({ id }) => id);
}
