/**
 * Makes the transitions of a task's row after the task was opened, and its end. A final state never changes, because a
 * trigger refuses that. `open-task.ts` has the first transition, `queue.ts` the claims, and `attempts.ts` the phase
 * `starting`, which belongs to the fence.
 */
import type { ChatId, MessageId, SessionId, TaskId } from '../contract/ids.ts';
import type { FrameBody } from '../contract/frame.ts';
import type { ErrorCode } from '../contract/errors.ts';
import type { FinalState, Phase, TaskState } from '../contract/task.ts';
import { appendKeyed, type KeyedFrame } from './append-frames.ts';
import { holdAfterFailure } from './session-queue.ts';
import type { Db, Tx } from './sql.ts';
import { tokenCount } from './token-count.ts';
import { isNotFinal, type Transition, transitionOf } from './transition.ts';

export interface NewTask {
  readonly id: TaskId;
  readonly projectId: string;
  readonly input: string;
  readonly agent?: string;
  readonly model?: string;
  readonly modeId?: string;
  readonly thinkingOptionId?: string;
  readonly sessionId?: SessionId;
  readonly chatId?: ChatId;
  readonly priority?: number;
  readonly permissionPolicy?: string;
  /** The number of seconds that a permission request waits for an answer. */
  readonly permissionTimeoutS?: number;
  readonly permissionDefault?: string;
  /** Why the task's choices were accepted without a check. */
  readonly choicesNote?: string;
  /** The task's position in the queue of its session. The default 0 places it after all waiting tasks. */
  readonly queuePosition?: string;
}

export async function insertTask(db: Db, task: NewTask): Promise<void> {
  await db`
    INSERT INTO tasks (id, project_id, input, agent, model, mode_id, thinking_option_id, session_id, chat_id, priority, permission_policy,
                       permission_timeout_s, permission_default, choices_note, queue_position)
    VALUES (${task.id}, ${task.projectId}, ${task.input}, ${task.agent ?? null}, ${task.model ?? null}, ${task.modeId ?? null},
            ${task.thinkingOptionId ?? null}, ${task.sessionId ?? null}, ${task.chatId ?? null}, ${task.priority ?? null},
            ${task.permissionPolicy ?? null}, ${task.permissionTimeoutS ?? null}, ${task.permissionDefault ?? null},
            ${task.choicesNote ?? null}, ${task.queuePosition ?? '0'}::bigint)`;
}

const OPEN = ['pending', 'running'];

/** Records that the task runs and that a worker creates its worktree. The path is null if the task has no worktree. */
export async function begin(
  tx: Tx,
  { taskId, worktreePath }: { taskId: TaskId; worktreePath: string | null },
): Promise<Transition> {
  const rows = await tx<{ session_id: SessionId | null }[]>`
    UPDATE tasks SET state = 'running', phase = 'preparing', worktree_path = ${worktreePath},
           started_at = coalesce(started_at, clock_timestamp())
     WHERE id = ${taskId} AND state = ANY (${OPEN})
    RETURNING session_id`;
  const transition = await transitionOf(tx, taskId, rows);
  await appendPhase(tx, transition, { taskId, key: 'preparing', phase: 'preparing' });
  return transition;
}

/**
 * Records that the worktree exists. The first base stays in the row, so that a step that runs again finds the same
 * base. No frame is appended, because the phase does not change.
 */
export async function storeWorktree(
  db: Db,
  { taskId, worktreePath, base }: { taskId: TaskId; worktreePath: string; base: string },
): Promise<Transition> {
  const rows = await db<{ session_id: SessionId | null }[]>`
    UPDATE tasks SET worktree_path = ${worktreePath}, base_commit = coalesce(base_commit, ${base})
     WHERE id = ${taskId} AND state = 'running'
    RETURNING session_id`;
  return transitionOf(db, taskId, rows);
}

/** Records that the turn is over and its files are being collected. */
export async function enterCollecting(tx: Tx, taskId: TaskId): Promise<Transition> {
  const rows = await tx<{ session_id: SessionId | null }[]>`
    UPDATE tasks SET phase = 'collecting' WHERE id = ${taskId} AND ${isNotFinal(tx)} RETURNING session_id`;
  const transition = await transitionOf(tx, taskId, rows);
  await appendPhase(tx, transition, { taskId, key: 'collecting', phase: 'collecting' });
  return transition;
}

/**
 * Records that the worktree is being removed. No frame is appended, because the task's end follows at once with a
 * frame.
 */
export async function enterCleaning(db: Db, taskId: TaskId): Promise<Transition> {
  const rows = await db<{ session_id: SessionId | null }[]>`
    UPDATE tasks SET phase = 'cleaning' WHERE id = ${taskId} AND state = ANY (${OPEN}) RETURNING session_id`;
  return transitionOf(db, taskId, rows);
}

/** The phases that the dispatch step reports. A report that arrives after that step has ended changes nothing. */
const TURN_PHASES: readonly Phase[] = ['starting', 'working', 'waiting_permission', 'waiting_limit'];

export interface TurnPhase {
  readonly taskId: TaskId;
  readonly phase: Phase;
  readonly attempt?: number | undefined;
  /** The time at which the task continues, ISO 8601. Set in phase waiting_limit. */
  readonly waitsUntil?: string | undefined;
  /** The key of this report, unique among the reports of the task. */
  readonly key: string;
}

/** Stores a phase that a running turn reports, and appends its frame. */
export async function enterTurnPhase(tx: Tx, turn: TurnPhase): Promise<Transition> {
  const { taskId, phase, waitsUntil, key, attempt } = turn;
  const rows = await tx<{ session_id: SessionId | null }[]>`
    UPDATE tasks SET phase = ${phase}, waits_until = ${waitsUntil ?? null}
     WHERE id = ${taskId} AND state = 'running' AND phase = ANY (${[...TURN_PHASES]})
    RETURNING session_id`;
  const transition = await transitionOf(tx, taskId, rows);
  const more = { ...(attempt !== undefined && { attempt }), ...(waitsUntil && { waits_until: waitsUntil }) };
  await appendPhase(tx, transition, { taskId, key, phase, ...more });
  return transition;
}

type PhaseFrame = Omit<Extract<FrameBody, { type: 'task_state' }>, 'type' | 'state'> & {
  readonly taskId: TaskId;
  readonly key: string;
};

async function appendPhase(tx: Tx, transition: Transition, { taskId, key, ...body }: PhaseFrame): Promise<void> {
  if (transition.kind !== 'moved' || transition.sessionId === null) return;
  await appendKeyed(tx, transition.sessionId, [
    { key: `${taskId}:${key}`, taskId, body: { type: 'task_state', state: 'running', ...body } },
  ]);
}

/**
 * Stores the cancel request. If there was an earlier request, its time and reason stay. No frame is appended, because
 * the request has no effect until intake and the workflow act on it.
 */
export async function requestCancel(db: Db, taskId: TaskId, reason: string | undefined): Promise<Transition> {
  const rows = await db<{ session_id: SessionId | null }[]>`
    UPDATE tasks SET cancel_requested_at = coalesce(cancel_requested_at, clock_timestamp()),
                     cancel_reason = CASE WHEN cancel_requested_at IS NULL THEN ${reason ?? null} ELSE cancel_reason END
     WHERE id = ${taskId} AND state = ANY (${OPEN})
    RETURNING session_id`;
  return transitionOf(db, taskId, rows);
}

/** Cancels an open task that has neither a claim nor a run. */
export async function cancelUnstarted(
  tx: Tx,
  { taskId, summary }: { taskId: TaskId; summary: string },
): Promise<Transition> {
  const rows = await tx<{ session_id: SessionId | null }[]>`
    UPDATE tasks SET state = 'cancelled', phase = 'cancelled', ended_at = clock_timestamp(), output_summary = ${summary},
                     cancel_requested_at = coalesce(cancel_requested_at, clock_timestamp())
     WHERE id = ${taskId} AND state = ANY (${OPEN}) AND claimed_at IS NULL AND run_id IS NULL
    RETURNING session_id`;
  const transition = await transitionOf(tx, taskId, rows);
  await appendEnd(tx, transition, { taskId, state: 'cancelled', summary });
  return transition;
}

/** Fails an open task that has no run. The task may have a claim that led to no run. */
export async function failUnstarted(
  tx: Tx,
  { taskId, code, summary }: { taskId: TaskId; code: ErrorCode; summary: string },
): Promise<Transition> {
  const rows = await tx<{ session_id: SessionId | null }[]>`
    UPDATE tasks SET state = 'failed', phase = 'failed', ended_at = clock_timestamp(), error_code = ${code}, output_summary = ${summary}
     WHERE id = ${taskId} AND state = ANY (${OPEN}) AND run_id IS NULL
    RETURNING session_id`;
  const transition = await transitionOf(tx, taskId, rows);
  await appendEnd(tx, transition, { taskId, state: 'failed', code, summary });
  await holdQueue(tx, transition, taskId);
  return transition;
}

export interface TaskToEnd {
  readonly state: TaskState;
  readonly session_id: SessionId | null;
  readonly message_id: MessageId | null;
  readonly worktree_path: string | null;
  readonly output_summary: string | null;
  readonly error_code: string | null;
  /** Sentences that were withheld from Temporal (`withheld.ts`). */
  readonly withheld: unknown;
  readonly cancel_reason: string | null;
}

/** Locks the task's row and returns it. Returns undefined if the row was deleted. */
export async function lockTaskToEnd(tx: Tx, taskId: TaskId): Promise<TaskToEnd | undefined> {
  const [task] = await tx<TaskToEnd[]>`
    SELECT state, session_id, message_id, worktree_path, output_summary, error_code, withheld, left(cancel_reason, 400) AS cancel_reason
      FROM tasks WHERE id = ${taskId} FOR UPDATE`;
  return task;
}

export interface TaskEnding {
  readonly taskId: TaskId;
  readonly state: FinalState;
  /** The error code of a failed task. */
  readonly code?: ErrorCode | undefined;
  readonly summary: string;
  /** The path of the kept worktree, and the warning about it. */
  readonly kept?: { readonly worktree: string; readonly warning: string } | undefined;
  /** Frames that end the turn's open tool calls. They precede the task's own last frame. */
  readonly before: readonly KeyedFrame[];
}

/** Ends a task that was opened: makes its row final and appends the task's last frames. */
export async function end(tx: Tx, ending: TaskEnding): Promise<Transition> {
  const { taskId, state, code, summary, kept } = ending;
  const rows = await tx<{ session_id: SessionId | null; interrupted_by: TaskId | null }[]>`
    UPDATE tasks
       SET state = ${state}, phase = ${state}, ended_at = clock_timestamp(), output_summary = ${summary},
           error_code = ${code ?? null}, waits_until = NULL, withheld = NULL, kept_worktree = ${kept?.worktree ?? null},
           cost_tokens = (SELECT ${tokenCount(tx, tx`tokens_used`)} FROM messages WHERE id = tasks.message_id)
     WHERE id = ${taskId} AND ${isNotFinal(tx)}
    RETURNING session_id, interrupted_by`;
  const transition = await transitionOf(tx, taskId, rows);
  const warning: KeyedFrame[] = kept
    ? [{ key: `${taskId}:kept-worktree`, taskId, body: { type: 'warning', message: kept.warning } }]
    : [];
  await appendEnd(tx, transition, {
    taskId,
    state,
    code,
    summary,
    before: [...ending.before, ...warning, noCommands(taskId)],
  });
  // If a message interrupted the task, the queue is not held, because the message's sender expects the next task to
  // start.
  const interrupted = state === 'cancelled' && rows[0]?.interrupted_by;
  if (state !== 'completed' && !interrupted) await holdQueue(tx, transition, taskId);
  return transition;
}

async function holdQueue(tx: Tx, transition: Transition, taskId: TaskId): Promise<void> {
  if (transition.kind === 'moved' && transition.sessionId) await holdAfterFailure(tx, transition.sessionId, taskId);
}

/** The frame that empties the list of commands, because an ended task has no agent that runs commands. */
const noCommands = (taskId: TaskId): KeyedFrame => ({
  key: `${taskId}:no-commands`,
  taskId,
  body: { type: 'agent_commands', commands: [] },
});

type EndFrame = Pick<TaskEnding, 'taskId' | 'state' | 'code' | 'summary'> & {
  readonly before?: readonly KeyedFrame[];
};

async function appendEnd(
  tx: Tx,
  transition: Transition,
  { taskId, state, code, summary, before = [] }: EndFrame,
): Promise<void> {
  if (transition.kind !== 'moved' || transition.sessionId === null) return;
  const body = {
    type: 'task_state',
    state,
    phase: state,
    output_summary: summary,
    ...(code !== undefined && { error_code: code }),
  } as const;
  await appendKeyed(tx, transition.sessionId, [...before, { key: `${taskId}:end`, taskId, body }]);
}
