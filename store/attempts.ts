/**
 * Stores attempts. An attempt is one execution of the dispatch step. The fence accepts only the writes of the newest
 * attempt.
 */
import { randomUUID } from 'node:crypto';
import type { AgentSessionId, ChatId, SessionId, TaskId } from '../contract/ids.ts';
import type { DispatchResult, TurnSoFar } from '../contract/steps.ts';
import type { ErrorCode } from '../contract/errors.ts';
import { outcomeIn } from './attempt-outcome.ts';
import { logEnd } from './log-end.ts';
import type { Db, Sql } from './sql.ts';
import type { Ran } from './task-views.ts';
import { wellFormed } from './well-formed.ts';

/**
 * The worker process that runs the attempt. Boot id and start time distinguish it from a later process with the same
 * pid.
 */
export interface WorkerIdentity {
  readonly bootId: string;
  readonly pid: number;
  readonly startTime: string;
}

export interface TakeTurn {
  readonly taskId: TaskId;
  readonly attempt: number;
  /**
   * The number of waits for a limit or an answer that the run knows of. If the table records one wait more, the outcome
   * of that wait did not reach Temporal.
   */
  readonly waits?: TurnSoFar['waits'];
  readonly runId: string;
  readonly host: string;
  readonly worker: WorkerIdentity;
  /**
   * Returns whether a worker process is alive. The process may be the caller's own. An attempt whose worker is alive
   * remains valid.
   */
  readonly isWorkerAlive: (worker: WorkerIdentity) => boolean;
}

/** The result of an attempt's request for the turn. */
export type TakenTurn =
  /** The row of the task or of its session was deleted. */
  | { readonly kind: 'gone' }
  /** A cancel was requested. The caller must start no agent, because the cancel signal is about to reach the run. */
  | { readonly kind: 'cancel_requested' }
  /** The task is final, belongs to another run, or a newer attempt has the turn. */
  | { readonly kind: 'superseded'; readonly reason: string }
  /** An earlier attempt completed, and its result did not reach Temporal. */
  | { readonly kind: 'done'; readonly outcome: DispatchResult }
  | {
      readonly kind: 'taken';
      /** The attempt's number among all attempts of the task. */
      readonly attempt: number;
      readonly token: string;
      readonly sessionId: SessionId;
      /** The number of the session's last frame. */
      readonly seq: number;
      /** The earlier attempts of the task, the oldest first. */
      readonly earlier: readonly EarlierAttempt[];
      /** The newest agent session that an earlier task of this chat had with the same agent. */
      readonly conversation: AgentSessionId | undefined;
    };

export interface EarlierAttempt {
  readonly attempt: number;
  readonly pid: number | null;
  readonly pid_start: string | null;
  readonly boot_id: string;
  readonly agent_session_id: AgentSessionId | null;
  /** The folder in which the agent session worked (`Worktrees.folderAt`). Null if it is not known. */
  readonly worktree: string | null;
  readonly spawned_at: Date | null;
  readonly error_code: ErrorCode | null;
  /**
   * The outcome with which the attempt suspended the turn until a limit was lifted or an answer arrived. Null if the
   * attempt did not suspend the turn.
   */
  readonly outcome: DispatchResult | null;
}

interface KnownAttempt extends EarlierAttempt {
  readonly run_id: string;
  readonly worker_pid: number;
  readonly worker_start: string;
  readonly ended_at: Date | null;
}

interface TaskToTake {
  readonly state: string;
  readonly cancel_requested: boolean;
  readonly run_id: string | null;
  readonly session_id: SessionId | null;
  readonly chat_id: ChatId | null;
  readonly agent: string | null;
  readonly is_native: boolean;
}

/**
 * Writes this attempt's fence token to the session's column `writer`, in one transaction with the record of the
 * attempt. From then on the database refuses every write of an older attempt. The call may be repeated after a lost
 * connection.
 *
 * The transaction locks the task's row, then the session's row, then uses attempts. All code that needs two of them
 * keeps this order. The session is locked before the attempts are read, because an older attempt that commits its
 * outcome holds the session's lock.
 */
export async function takeTurn(sql: Sql, turn: TakeTurn): Promise<TakenTurn> {
  return sql.begin(async (tx) => {
    const [task] = await tx<TaskToTake[]>`
      SELECT state, run_id, session_id, chat_id, agent, execution_path IS NOT DISTINCT FROM 'native' AS is_native, cancel_requested_at IS NOT NULL AS cancel_requested
        FROM tasks WHERE id = ${turn.taskId} FOR UPDATE`;
    if (!task) return { kind: 'gone' };
    if (task.state !== 'running') return superseded(`the task is ${task.state}`);
    if (!task.session_id) return superseded('the task has no session yet');
    if (task.run_id !== null && task.run_id !== turn.runId) {
      return superseded(
        `it belongs to run ${task.run_id}. A run that was reset in Temporal cannot continue: submit the task again`,
      );
    }
    // The statements are sent together and run in this order, so the attempts are read when the session is locked.
    const [[session], rows, [before]] = await Promise.all([
      tx<
        { seq: number }[]
      >`SELECT ${logEnd(tx, task.session_id)} AS seq FROM sessions WHERE id = ${task.session_id} FOR UPDATE`,
      tx<(Omit<KnownAttempt, 'outcome'> & { outcome: unknown })[]>`
        SELECT attempt, run_id, pid, pid_start, boot_id, worker_pid, worker_start, agent_session_id, worktree, spawned_at,
               ended_at, error_code, outcome
          FROM attempts WHERE task_id = ${turn.taskId} ORDER BY attempt`,
      // The tasks of a session run one after another, so all its other tasks that have attempts are earlier ones. All
      // tasks on the native path have the same agent, so their agent names are not compared.
      tx<{ agent_session_id: AgentSessionId }[]>`
        SELECT a.agent_session_id FROM attempts a JOIN tasks t ON t.id = a.task_id
         WHERE t.session_id = ${task.session_id} AND t.chat_id IS NOT DISTINCT FROM ${task.chat_id} AND t.id <> ${turn.taskId}
           AND (t.execution_path IS NOT DISTINCT FROM 'native') = ${task.is_native} AND (t.agent = ${task.agent} OR ${task.is_native})
           AND a.agent_session_id IS NOT NULL
         ORDER BY a.started_at DESC LIMIT 1`,
    ]);
    if (!session) return { kind: 'gone' };
    const attempts = rows.map((row) => ({ ...row, outcome: outcomeIn(row.outcome, row.attempt) ?? null }));
    const outcome = outcomeToRepeat(attempts, turn.waits ?? 0);
    if (outcome) return { kind: 'done', outcome };
    if (task.cancel_requested) return { kind: 'cancel_requested' };
    const attempt = numberOf(turn, attempts.at(-1));
    if (attempt === undefined) return superseded(`attempt ${attempts.at(-1)?.attempt} has the turn`);
    const token = randomUUID();
    await Promise.all([
      tx`
        INSERT INTO attempts (task_id, attempt, host, run_id, token, boot_id, worker_pid, worker_start)
        VALUES (${turn.taskId}, ${attempt}, ${turn.host}, ${turn.runId}, ${token},
                ${turn.worker.bootId}, ${turn.worker.pid}, ${turn.worker.startTime})
        ON CONFLICT (task_id, attempt) DO UPDATE
          SET token = EXCLUDED.token, boot_id = EXCLUDED.boot_id,
              worker_pid = EXCLUDED.worker_pid, worker_start = EXCLUDED.worker_start, ended_at = NULL`,
      tx`
        UPDATE attempts SET ended_at = clock_timestamp()
         WHERE task_id = ${turn.taskId} AND attempt < ${attempt} AND ended_at IS NULL`,
      tx`UPDATE sessions SET writer = ${token}, written = 0, seq = ${session.seq} WHERE id = ${task.session_id}`,
      tx`UPDATE tasks SET phase = 'starting', waits_until = NULL WHERE id = ${turn.taskId}`,
    ]);
    return {
      kind: 'taken',
      attempt,
      token,
      sessionId: task.session_id,
      seq: session.seq,
      earlier: attempts.filter((row) => row.attempt < attempt),
      conversation: before?.agent_session_id,
    };
  });
}

/**
 * Returns the outcome that did not reach Temporal, if there is one. A turn is suspended each time it waits for a limit
 * or hibernates, and ends permanently only once.
 */
function outcomeToRepeat(attempts: readonly EarlierAttempt[], waits: number): DispatchResult | undefined {
  const outcomes = attempts.flatMap(({ outcome }) => outcome ?? []);
  return outcomes.find(({ kind }) => kind !== 'waiting' && kind !== 'hibernated') ?? outcomes[waits];
}

/**
 * Returns the number of this attempt. It is Temporal's own number, unless the table has a newer attempt. If the worker
 * of that newer attempt is alive, that attempt keeps the turn and this one gets no number. If the worker is dead or the
 * newer attempt has ended, Temporal lost the newer attempt: a power failure undoes Temporal's last commits, while
 * Postgres keeps its own. Then this attempt gets the number after that of the lost one.
 */
function numberOf(turn: TakeTurn, newest: KnownAttempt | undefined): number | undefined {
  if (!newest || (newest.run_id === turn.runId && newest.attempt <= turn.attempt)) return turn.attempt;
  const worker = { bootId: newest.boot_id, pid: newest.worker_pid, startTime: newest.worker_start };
  return newest.ended_at === null && turn.isWorkerAlive(worker) ? undefined : newest.attempt + 1;
}

function superseded(reason: string): TakenTurn {
  return { kind: 'superseded', reason };
}

/**
 * Records that a later attempt of the same process takes over a turn that still runs: the token stays, the number is
 * new. Returns false if there is a newer attempt, or if another attempt has the session's `writer` token; then the turn
 * must end.
 */
export async function adoptTurn(sql: Sql, turn: { taskId: TaskId; attempt: number; from: number }): Promise<boolean> {
  return sql.begin(async (tx) => {
    // All code locks in this order: task, session, attempts.
    const open = await tx`SELECT FROM tasks WHERE id = ${turn.taskId} AND state = 'running' FOR UPDATE`;
    if (open.length === 0) return false;
    const held = await tx`
      SELECT FROM sessions s JOIN tasks t ON t.session_id = s.id JOIN attempts a ON a.task_id = t.id
       WHERE a.task_id = ${turn.taskId} AND a.attempt = ${turn.from} AND s.writer = a.token FOR SHARE OF s`;
    if (held.length === 0) return false;
    const rows = await tx`
      INSERT INTO attempts (task_id, attempt, host, run_id, token, boot_id, worker_pid, worker_start,
                            pid, pid_start, agent_session_id, worktree, spawned_at)
      SELECT task_id, ${turn.attempt}, host, run_id, token, boot_id, worker_pid,
             worker_start, pid, pid_start, agent_session_id, worktree, spawned_at
        FROM attempts a
       WHERE task_id = ${turn.taskId} AND attempt = ${turn.from}
         AND NOT EXISTS (SELECT FROM attempts n WHERE n.task_id = a.task_id AND n.attempt >= ${turn.attempt})
      RETURNING attempt`;
    if (rows.length === 0) return false;
    await tx`UPDATE attempts SET ended_at = clock_timestamp()
              WHERE task_id = ${turn.taskId} AND attempt < ${turn.attempt} AND ended_at IS NULL`;
    return true;
  });
}

/**
 * Records the agent's process before anything is sent to the agent. Returns false if the attempt is outdated; then the
 * caller must end the process. The session's row is locked, so the result is still valid when the statement ends.
 */
export async function recordSpawn(
  sql: Sql,
  spawn: { taskId: TaskId; attempt: number; sessionId: SessionId; token: string; pid: number; pidStart: string },
): Promise<boolean> {
  const rows = await sql`
    WITH fence AS (
      SELECT id FROM sessions WHERE id = ${spawn.sessionId} AND writer = ${spawn.token} FOR SHARE
    )
    UPDATE attempts SET pid = ${spawn.pid}, pid_start = ${spawn.pidStart}, spawned_at = clock_timestamp()
      FROM fence WHERE task_id = ${spawn.taskId} AND attempt = ${spawn.attempt}
    RETURNING attempt`;
  return rows.length > 0;
}

export async function recordAgentSession(
  db: Db,
  turn: {
    taskId: TaskId;
    attempt: number;
    agentSessionId: AgentSessionId;
    worktree?: string | undefined;
    ran: Ran;
  },
): Promise<void> {
  await db`UPDATE attempts SET agent_session_id = ${turn.agentSessionId}, worktree = ${turn.worktree ?? null},
                  ran = ${db.json(wellFormed(turn.ran) as never)}
            WHERE task_id = ${turn.taskId} AND attempt = ${turn.attempt}`;
}

/** Records the model, mode, thinking option and version that the agent reported. */
export async function recordRan(db: Db, turn: { taskId: TaskId; attempt: number; ran: Ran }): Promise<void> {
  await db`UPDATE attempts SET ran = ${db.json(wellFormed(turn.ran) as never)}
            WHERE task_id = ${turn.taskId} AND attempt = ${turn.attempt}`;
}

/** Ends the attempt with its outcome. The caller runs it inside the turn's last, fenced transaction. */
export async function recordOutcome(
  db: Db,
  turn: { taskId: TaskId; attempt: number; outcome: DispatchResult; tokensReported?: number | undefined },
): Promise<void> {
  await db`UPDATE attempts SET outcome = ${db.json(wellFormed(turn.outcome))}, ended_at = clock_timestamp(),
                  tokens_reported = ${turn.tokensReported ?? null}
            WHERE task_id = ${turn.taskId} AND attempt = ${turn.attempt}`;
}

export async function recordAttemptFailure(
  db: Db,
  turn: { taskId: TaskId; attempt: number; code: ErrorCode },
): Promise<void> {
  await db`UPDATE attempts SET error_code = ${turn.code}, ended_at = coalesce(ended_at, clock_timestamp())
            WHERE task_id = ${turn.taskId} AND attempt = ${turn.attempt} AND outcome IS NULL`;
}

/**
 * Counts the attempts that failed before this one, since the newest attempt that has an outcome. Failures with the
 * codes `uncounted` do not count.
 */
export async function failuresBefore(
  db: Db,
  { taskId, attempt, uncounted }: { taskId: TaskId; attempt: number; uncounted: readonly ErrorCode[] },
): Promise<{ count: number; sinceFirstMs: number }> {
  const [row] = await db<{ count: number; ms: number }[]>`
    SELECT count(*)::int AS count,
           coalesce(extract(epoch FROM clock_timestamp() - min(ended_at)) * 1000, 0)::float8 AS ms
      FROM attempts
     WHERE task_id = ${taskId} AND attempt < ${attempt} AND error_code IS NOT NULL AND error_code <> ALL (${[...uncounted]})
       AND attempt > (SELECT coalesce(max(attempt), 0) FROM attempts WHERE task_id = ${taskId} AND outcome IS NOT NULL)`;
  return { count: row?.count ?? 0, sinceFirstMs: row?.ms ?? 0 };
}

export interface OpenAttempt {
  readonly task_id: TaskId;
  readonly attempt: number;
  readonly boot_id: string;
  readonly worker_pid: number;
  readonly worker_start: string;
}

/** Returns the open attempts of a host, those of live and those of dead workers. */
export async function openAttempts(db: Db, host: string): Promise<OpenAttempt[]> {
  return db<OpenAttempt[]>`
    SELECT task_id, attempt, boot_id, worker_pid, worker_start
      FROM attempts WHERE host = ${host} AND ended_at IS NULL ORDER BY started_at`;
}

/**
 * Ends all attempts of the task, so that none of them may write any more. If another task of the session already has
 * the turn, its token stays. The caller holds the lock of the task's row.
 */
export async function endAttempts(db: Db, taskId: TaskId, sessionId: SessionId): Promise<void> {
  await db`
    UPDATE sessions SET writer = NULL
     WHERE id = ${sessionId} AND writer IN (SELECT token FROM attempts WHERE task_id = ${taskId})`;
  await db`UPDATE attempts SET ended_at = clock_timestamp() WHERE task_id = ${taskId} AND ended_at IS NULL`;
}

/** Returns the newest token count that this agent reported in this agent session during earlier tasks. */
export async function tokensReportedIn(
  db: Db,
  { agentSessionId, taskId }: { agentSessionId: AgentSessionId; taskId: TaskId },
): Promise<number> {
  const [row] = await db<{ tokens: number }[]>`
    SELECT a.tokens_reported AS tokens
      FROM tasks own JOIN tasks t ON t.session_id = own.session_id AND t.agent = own.agent AND t.id <> own.id
      JOIN attempts a ON a.task_id = t.id
     WHERE own.id = ${taskId} AND a.agent_session_id = ${agentSessionId} AND a.tokens_reported IS NOT NULL
     ORDER BY a.started_at DESC LIMIT 1`;
  return row?.tokens ?? 0;
}
