/** Attempts: one execution of the dispatch step each, and the fence that only the newest may pass. */
import { randomUUID } from 'node:crypto';
import type { AgentSessionId, DispatchResult, SessionId, TaskId, TurnSoFar } from '../workflows/contract.ts';
import type { ErrorCode } from '../workflows/errors.ts';
import { logEnd } from './log-end.ts';
import type { Db, Sql } from './sql.ts';
import { wellFormed } from './well-formed.ts';

/** Who runs the attempt: told from a later process with the same pid by boot and start time. */
export interface WorkerIdentity {
  readonly bootId: string;
  readonly pid: number;
  readonly startTime: string;
}

export interface TakeTurn {
  readonly taskId: TaskId;
  readonly attempt: number;
  /** Waits for a limit that the run knows of: what is recorded of a further one, Temporal has never heard. */
  readonly waits?: TurnSoFar['waits'];
  readonly runId: string;
  readonly host: string;
  readonly worker: WorkerIdentity;
  /** Whether this worker is at work on the turn, or another one than ours that runs: what it has begun stands. */
  readonly lives: (worker: WorkerIdentity) => boolean;
}

/** What an attempt finds when it asks for the turn. */
export type TakenTurn =
  | { readonly kind: 'gone' }
  /** A person has asked for the cancel: it will come, and no agent is started until then. */
  | { readonly kind: 'cancel_requested' }
  /** The task is final, belongs to another run, or a newer attempt has the turn. */
  | { readonly kind: 'superseded'; readonly reason: string }
  /** An earlier attempt came to the end and Temporal never heard. */
  | { readonly kind: 'done'; readonly outcome: DispatchResult }
  | {
      readonly kind: 'taken';
      /** Its number among all that the task has had. */
      readonly attempt: number;
      readonly token: string;
      readonly sessionId: SessionId;
      /** The session's last frame. */
      readonly seq: number;
      /** Oldest first, without this one. */
      readonly earlier: readonly EarlierAttempt[];
      /** The newest agent session of this session's earlier tasks with the same agent. */
      readonly conversation: AgentSessionId | undefined;
    };

export interface EarlierAttempt {
  readonly attempt: number;
  readonly pid: number | null;
  readonly pid_start: string | null;
  readonly boot_id: string;
  readonly agent_session_id: AgentSessionId | null;
  readonly spawned_at: Date | null;
  readonly error_code: ErrorCode | null;
  /** Of one that ended the turn for now: it has waited since. */
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
  readonly agent: string | null;
}

/**
 * Takes the session's `writer` token for this attempt, in one transaction with the record of the attempt.
 * From then on every write of an older attempt is refused. Safe to call again after a lost connection.
 *
 * Locks the task's row, then the session's, then touches attempts; whoever else needs two of them keeps this order.
 * The session comes before the attempts are read because an older attempt that commits its outcome holds it.
 */
export async function takeTurn(sql: Sql, turn: TakeTurn): Promise<TakenTurn> {
  return sql.begin(async (tx) => {
    const [task] = await tx<TaskToTake[]>`
      SELECT state, run_id, session_id, agent, cancel_requested_at IS NOT NULL AS cancel_requested
        FROM tasks WHERE id = ${turn.taskId} FOR UPDATE`;
    if (!task) return { kind: 'gone' };
    if (task.state !== 'running') return superseded(`the task is ${task.state}`);
    if (!task.session_id) return superseded('the task has no session yet');
    if (task.run_id !== null && task.run_id !== turn.runId) {
      return superseded(
        `it belongs to run ${task.run_id}. A run that was reset in Temporal cannot go on: submit the task again`,
      );
    }
    // Sent together, run in this order: the attempts are read once the session is locked.
    const [[session], attempts, [before]] = await Promise.all([
      tx<
        { seq: number }[]
      >`SELECT ${logEnd(tx, task.session_id)} AS seq FROM sessions WHERE id = ${task.session_id} FOR UPDATE`,
      tx<KnownAttempt[]>`
        SELECT attempt, run_id, pid, pid_start, boot_id, worker_pid, worker_start, agent_session_id, spawned_at,
               ended_at, error_code, outcome
          FROM attempts WHERE task_id = ${turn.taskId} ORDER BY attempt`,
      // A session's tasks run one after another: those that have attempts are earlier ones.
      tx<{ agent_session_id: AgentSessionId }[]>`
        SELECT a.agent_session_id FROM attempts a JOIN tasks t ON t.id = a.task_id
         WHERE t.session_id = ${task.session_id} AND t.id <> ${turn.taskId} AND t.agent = ${task.agent}
           AND a.agent_session_id IS NOT NULL
         ORDER BY a.started_at DESC LIMIT 1`,
    ]);
    if (!session) return { kind: 'gone' };
    const outcome = unheardOutcome(attempts, turn.waits ?? 0);
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

/** A turn may end for now as often as it waits for a limit, and once for good. */
function unheardOutcome(attempts: readonly EarlierAttempt[], waits: number): DispatchResult | undefined {
  const outcomes = attempts.flatMap(({ outcome }) => outcome ?? []);
  return outcomes.find(({ kind }) => kind !== 'waiting') ?? outcomes[waits];
}

/**
 * Temporal's own number, unless we know of a newer attempt. Of a live worker that one has the turn. Of a dead one, or if
 * it has ended, Temporal has forgotten it: a power cut takes its last commits back, and Postgres keeps its own. Then
 * this attempt comes after it.
 */
function numberOf(turn: TakeTurn, newest: KnownAttempt | undefined): number | undefined {
  if (!newest || (newest.run_id === turn.runId && newest.attempt <= turn.attempt)) return turn.attempt;
  const worker = { bootId: newest.boot_id, pid: newest.worker_pid, startTime: newest.worker_start };
  return newest.ended_at === null && turn.lives(worker) ? undefined : newest.attempt + 1;
}

function superseded(reason: string): TakenTurn {
  return { kind: 'superseded', reason };
}

/**
 * A later attempt of the same process takes over a turn that lives on: same token, new number. False: a newer
 * attempt is known, or the session's writer is another one by now; the turn must end then.
 */
export async function adoptTurn(sql: Sql, turn: { taskId: TaskId; attempt: number; from: number }): Promise<boolean> {
  return sql.begin(async (tx) => {
    // In the order that all take: task, session, attempts.
    const open = await tx`SELECT FROM tasks WHERE id = ${turn.taskId} AND state = 'running' FOR UPDATE`;
    if (open.length === 0) return false;
    const held = await tx`
      SELECT FROM sessions s JOIN tasks t ON t.session_id = s.id JOIN attempts a ON a.task_id = t.id
       WHERE a.task_id = ${turn.taskId} AND a.attempt = ${turn.from} AND s.writer = a.token FOR SHARE OF s`;
    if (held.length === 0) return false;
    const rows = await tx`
      INSERT INTO attempts (task_id, attempt, host, run_id, token, boot_id, worker_pid, worker_start,
                            pid, pid_start, agent_session_id, spawned_at)
      SELECT task_id, ${turn.attempt}, host, run_id, token, boot_id, worker_pid,
             worker_start, pid, pid_start, agent_session_id, spawned_at
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
 * Records the agent's process before anything is sent to it. False: the attempt is outdated, the process
 * must go. The session's row is locked, so the answer still holds when the statement ends.
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
  turn: { taskId: TaskId; attempt: number; agentSessionId: AgentSessionId },
): Promise<void> {
  await db`UPDATE attempts SET agent_session_id = ${turn.agentSessionId}
            WHERE task_id = ${turn.taskId} AND attempt = ${turn.attempt}`;
}

/** Ends the attempt with what it returned; called inside the turn's last, fenced transaction. */
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

/** Attempts that failed before this one, since the task last waited for a limit; those with these codes do not count. */
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

/** Attempts of a host that nobody has ended: of live workers, or of dead ones. */
export async function openAttempts(db: Db, host: string): Promise<OpenAttempt[]> {
  return db<OpenAttempt[]>`
    SELECT task_id, attempt, boot_id, worker_pid, worker_start
      FROM attempts WHERE host = ${host} AND ended_at IS NULL ORDER BY started_at`;
}

/** From here on no attempt at the task may write; another task of the session, which may have the turn by now, may. The caller holds the task's row. */
export async function endAttempts(db: Db, taskId: TaskId, sessionId: SessionId): Promise<void> {
  await db`
    UPDATE sessions SET writer = NULL
     WHERE id = ${sessionId} AND writer IN (SELECT token FROM attempts WHERE task_id = ${taskId})`;
  await db`UPDATE attempts SET ended_at = clock_timestamp() WHERE task_id = ${taskId} AND ended_at IS NULL`;
}

/** The newest count of tokens that this agent gave in this session of its, in earlier tasks. */
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
