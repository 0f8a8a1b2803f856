/**
 * Takes a snapshot: the state of a session as of one number of its log. A reader starts from a snapshot if the log no
 * longer has all frames that the reader lacks. The content of the streaming message is folded from its frames, because
 * the message's row is written only when the turn ends.
 */
import type { Db, Sql } from '../store/sql.ts';
import type { Elicitation } from '../contract/elicitation.ts';
import type { ChangeId, PermissionId, ProjectId, SessionId, TaskId } from '../contract/ids.ts';
import type { ShownPhase, TaskState } from '../contract/task.ts';
import type { AgentCommand, PermissionOption, ToolCall, Usage } from '../contract/vocabulary.ts';
import { commandsIn } from '../store/commands.ts';
import { buildsOn } from '../store/diffs.ts';
import type { PageKey, PageRange } from '../store/pages.ts';
import { shownPhase } from '../store/task-views.ts';
import { sessionQueue } from '../store/session-queue.ts';
import type { FrameEnvelope, SessionQueue } from '../contract/frame.ts';
import { elicitationIn, optionsIn, toolCallIn, usageIn } from './message-json.ts';
import { isoOrNull, messagePage, messagesOf, type SnapshotMessage } from './snapshot-messages.ts';

export interface SnapshotTask {
  readonly task_id: TaskId;
  readonly agent: string | null;
  readonly state: TaskState;
  readonly phase: ShownPhase;
  /** The time at which the task continues, if its phase is waiting_limit. */
  readonly waits_until: string | null;
  readonly error_code: string | null;
  readonly output_summary: string | null;
  readonly created_at: string | null;
  readonly started_at: string | null;
  readonly ended_at: string | null;
}

export interface SnapshotChange {
  readonly change_id: ChangeId;
  readonly task_id: TaskId | null;
  readonly state: string;
  readonly files: number;
  readonly additions: number | null;
  readonly deletions: number | null;
  readonly partial: boolean;
  /** The task of the session whose change must be applied before this one. */
  readonly builds_on: TaskId | null;
}

export interface SnapshotPermission {
  readonly permission_id: PermissionId;
  readonly task_id: TaskId;
  readonly options: readonly PermissionOption[];
  readonly tool_call: ToolCall | null;
  /** Null if the request asks for a permission. */
  readonly elicitation: Elicitation | null;
}

export interface SnapshotFrame extends FrameEnvelope {
  readonly type: 'snapshot';
  readonly session: {
    readonly id: SessionId;
    readonly project_id: ProjectId | null;
    readonly name: string | null;
    readonly model: string | null;
    readonly status: string | null;
  };
  readonly messages: readonly SnapshotMessage[];
  readonly tasks: readonly SnapshotTask[];
  /** The changes that wait for review. */
  readonly changes: readonly SnapshotChange[];
  /** The requests that wait for an answer. */
  readonly permissions: readonly SnapshotPermission[];
  readonly commands: readonly AgentCommand[];
  readonly usage: Usage | null;
  /** The waiting tasks of the session. */
  readonly queue: SessionQueue;
}

/** Returns `undefined` if the session does not exist. */
export function takeSnapshot(sql: Sql, sessionId: SessionId): Promise<SnapshotFrame | undefined> {
  return ofSession(sql, sessionId, async (tx, head) => ({
    ...head,
    messages: await messagesOf(tx, sessionId),
    tasks: await tasksOf(tx, sessionId),
    changes: await changesOf(tx, sessionId),
    ...(await restOf(tx, sessionId)),
  }));
}

/**
 * The maximum number of tasks, and of changes, in a bounded snapshot. Older ones are found in the lists of tasks and of
 * changes.
 */
const MAX_ROWS = 100;

export interface BoundedSnapshot {
  readonly snapshot: SnapshotFrame;
  /** The key of the page of older messages. `undefined` if there are none. */
  readonly next: PageKey | undefined;
  /** True if older tasks or changes are omitted. */
  readonly tasksTruncated: boolean;
  readonly changesTruncated: boolean;
}

/**
 * Takes a snapshot with one page of messages, the newest tasks and the newest changes, so that its size is limited
 * however long the session is.
 */
export function takeBoundedSnapshot(
  sql: Sql,
  sessionId: SessionId,
  range: PageRange,
): Promise<BoundedSnapshot | undefined> {
  return ofSession(sql, sessionId, async (tx, head) => {
    const { messages, next } = await messagePage(tx, sessionId, range);
    const tasks = await tasksOf(tx, sessionId, MAX_ROWS + 1);
    const changes = await changesOf(tx, sessionId, MAX_ROWS + 1);
    return {
      snapshot: {
        ...head,
        messages,
        tasks: tasks.slice(-MAX_ROWS),
        changes: changes.slice(-MAX_ROWS),
        ...(await restOf(tx, sessionId)),
      },
      next,
      tasksTruncated: tasks.length > MAX_ROWS,
      changesTruncated: changes.length > MAX_ROWS,
    };
  });
}

type Head = Pick<SnapshotFrame, 'type' | 'session_id' | 'seq' | 'at' | 'session'>;

/** Runs all reads in one transaction, so that they see the same state of the database. */
function ofSession<Result>(
  sql: Sql,
  sessionId: SessionId,
  read: (tx: Db, head: Head) => Promise<Result>,
): Promise<Result | undefined> {
  return sql.begin<Result | undefined>('ISOLATION LEVEL REPEATABLE READ READ ONLY', async (tx) => {
    const [row] = await tx<(SnapshotFrame['session'] & { seq: number; at: Date })[]>`
      SELECT id, project_id, name, model, status, seq, now() AS at FROM sessions WHERE id = ${sessionId}`;
    if (!row) return undefined;
    const { seq, at, ...session } = row;
    return read(tx, { type: 'snapshot', session_id: sessionId, seq, at: at.toISOString(), session });
  }) as Promise<Result | undefined>;
}

const restOf = async (db: Db, sessionId: SessionId) => ({
  permissions: await permissionsOf(db, sessionId),
  queue: await sessionQueue(db, sessionId),
  ...(await latestOf(db, sessionId)),
});

/**
 * Returns the session's tasks: first those that have started, in the order in which they started, then the waiting ones
 * in the order of the queue. If `limit` is given, only so many tasks are returned, the last ones.
 */
async function tasksOf(db: Db, sessionId: SessionId, limit: number | null = null): Promise<SnapshotTask[]> {
  const rows = await db<(Omit<SnapshotTask, keyof TaskTimes> & TaskTimes)[]>`
    SELECT id AS task_id, agent, coalesce(state, 'unknown') AS state, ${shownPhase(db, 'tasks')}, waits_until, error_code, output_summary, created_at, started_at, ended_at
      FROM tasks WHERE session_id = ${sessionId}
     ORDER BY coalesce(claimed_at, ended_at, 'infinity') DESC, queue_position DESC, created_at DESC, id DESC LIMIT ${limit}`;
  return rows.toReversed().map((row) => ({
    ...row,
    waits_until: isoOrNull(row.waits_until),
    created_at: isoOrNull(row.created_at),
    started_at: isoOrNull(row.started_at),
    ended_at: isoOrNull(row.ended_at),
  }));
}

interface TaskTimes {
  readonly waits_until: Date | null;
  readonly created_at: Date | null;
  readonly started_at: Date | null;
  readonly ended_at: Date | null;
}

async function changesOf(db: Db, sessionId: SessionId, limit: number | null = null): Promise<SnapshotChange[]> {
  return [
    ...(await db<SnapshotChange[]>`
      SELECT id AS change_id, task_id, state, additions, deletions, partial, ${buildsOn(db, 'pending_changes')} AS builds_on,
             CASE jsonb_typeof(files) WHEN 'array' THEN jsonb_array_length(files) ELSE 0 END AS files
        FROM pending_changes WHERE session_id = ${sessionId} AND state = 'pending'
       ORDER BY created_at DESC, id DESC LIMIT ${limit}`),
  ].toReversed();
}

async function permissionsOf(db: Db, sessionId: SessionId): Promise<SnapshotPermission[]> {
  const rows = await db<SnapshotPermission[]>`
    SELECT id AS permission_id, task_id, options, tool_call, elicitation
      FROM permissions WHERE session_id = ${sessionId} AND state = 'pending' ORDER BY requested_at, id`;
  return rows.map((row) => ({
    ...row,
    options: optionsIn(row.options),
    tool_call: toolCallIn(row.tool_call),
    elicitation: elicitationIn(row.elicitation),
  }));
}

async function latestOf(db: Db, sessionId: SessionId): Promise<Pick<SnapshotFrame, 'commands' | 'usage'>> {
  const newest = (type: string) => db`
    (SELECT body FROM frames WHERE session_id = ${sessionId} AND type = ${type} AND type IN ('agent_commands', 'usage')
      ORDER BY seq DESC LIMIT 1)`;
  const [row] = await db<{ commands: unknown; usage: unknown }[]>`
    SELECT ${newest('agent_commands')} -> 'commands' AS commands, ${newest('usage')} -> 'usage' AS usage`;
  return { commands: commandsIn(row?.commands), usage: usageIn(row?.usage) };
}
