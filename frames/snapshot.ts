/**
 * What a reader starts from when the log alone does not tell it all: the session as it stands at one
 * number of its log. What the streaming message holds so far is folded from its frames, as its row is
 * written only when the turn ends.
 */
import type { Db, Sql } from '../store/sql.ts';
import type {
  ChangeId,
  ChatId,
  MessageId,
  PermissionId,
  Phase,
  ProjectId,
  SessionId,
  TaskId,
  TaskState,
} from '../workflows/contract.ts';
import type {
  AgentCommand,
  MessageSegment,
  PermissionOption,
  PlanEntry,
  ToolCall,
  Usage,
} from '../workflows/vocabulary.ts';
import type { FrameEnvelope } from './frame.ts';
import { foldMessage } from './read-message.ts';

export interface SnapshotMessage {
  readonly message_id: MessageId;
  readonly chat_id: ChatId;
  readonly task_id: TaskId | null;
  readonly role: string;
  readonly status: string;
  readonly content: string;
  readonly reasoning: string;
  readonly tool_calls: readonly ToolCall[];
  readonly plan: readonly PlanEntry[] | null;
  /** All of that in the order in which it came; null: a user's message, or one from before orders were kept. */
  readonly segments: readonly MessageSegment[] | null;
  /** UTF-16 units of text that came: more than `content` has, if it was cut. */
  readonly total_chars: number | null;
  readonly tokens_used: number | null;
  readonly created_at: string | null;
  readonly finished_at: string | null;
}

export interface SnapshotTask {
  readonly task_id: TaskId;
  readonly agent: string | null;
  readonly state: TaskState;
  readonly phase: Phase;
  /** In phase waiting_limit: when it goes on. */
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
}

export interface SnapshotPermission {
  readonly permission_id: PermissionId;
  readonly task_id: TaskId;
  readonly options: readonly PermissionOption[];
  readonly tool_call: ToolCall | null;
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
  /** Those that wait for review. */
  readonly changes: readonly SnapshotChange[];
  /** Those that wait for an answer. */
  readonly permissions: readonly SnapshotPermission[];
  readonly commands: readonly AgentCommand[];
  readonly usage: Usage | null;
}

/** `undefined`: there is no such session. */
export function takeSnapshot(sql: Sql, sessionId: SessionId): Promise<SnapshotFrame | undefined> {
  return sql.begin('ISOLATION LEVEL REPEATABLE READ READ ONLY', async (tx) => {
    const [row] = await tx<(SnapshotFrame['session'] & { seq: number; at: Date })[]>`
      SELECT id, project_id, name, model, status, seq, now() AS at FROM sessions WHERE id = ${sessionId}`;
    if (!row) return undefined;
    const { seq, at, ...session } = row;
    return {
      type: 'snapshot',
      session_id: sessionId,
      seq,
      at: at.toISOString(),
      session,
      messages: await messagesOf(tx, sessionId),
      tasks: await tasksOf(tx, sessionId),
      changes: await changesOf(tx, sessionId),
      permissions: await permissionsOf(tx, sessionId),
      ...(await latestOf(tx, sessionId)),
    };
  });
}

interface MessageRow {
  readonly id: MessageId;
  readonly chat_id: ChatId;
  readonly task_id: TaskId | null;
  readonly role: string | null;
  readonly status: string | null;
  readonly content: string | null;
  readonly reasoning: string | null;
  readonly tool_calls: ToolCall[] | null;
  readonly plan: PlanEntry[] | null;
  readonly segments: MessageSegment[] | null;
  readonly total_chars: number | null;
  readonly tokens_used: number | null;
  readonly created_at: Date | null;
  readonly finished_at: Date | null;
}

async function messagesOf(db: Db, sessionId: SessionId): Promise<SnapshotMessage[]> {
  const rows = await db<MessageRow[]>`
    SELECT id, chat_id, task_id, role, status, content, reasoning, tool_calls, plan, segments, total_chars, tokens_used,
           created_at, finished_at
      FROM messages WHERE session_id = ${sessionId} ORDER BY created_at, id`;
  const messages: SnapshotMessage[] = [];
  for (const row of rows) {
    const streamed = row.status === 'streaming' ? await foldMessage(db, { sessionId, messageId: row.id }) : undefined;
    messages.push({
      message_id: row.id,
      chat_id: row.chat_id,
      task_id: row.task_id,
      role: row.role ?? 'user',
      status: row.status ?? 'complete',
      content: streamed?.content ?? row.content ?? '',
      reasoning: streamed?.reasoning ?? row.reasoning ?? '',
      tool_calls: streamed ? [...streamed.toolCalls.values()] : listed(row.tool_calls),
      plan: streamed ? (streamed.plan ?? null) : row.plan && listed(row.plan),
      segments: streamed?.segments ?? (row.segments && listed(row.segments)),
      total_chars: streamed?.totalChars ?? row.total_chars,
      tokens_used: row.tokens_used,
      created_at: iso(row.created_at),
      finished_at: iso(row.finished_at),
    });
  }
  return messages;
}

async function tasksOf(db: Db, sessionId: SessionId): Promise<SnapshotTask[]> {
  const rows = await db<(Omit<SnapshotTask, keyof TaskTimes> & TaskTimes)[]>`
    SELECT id AS task_id, agent, coalesce(state, 'unknown') AS state, phase, waits_until, error_code, output_summary, created_at, started_at, ended_at
      FROM tasks WHERE session_id = ${sessionId} ORDER BY queue_position, created_at, id`;
  return rows.map((row) => ({
    ...row,
    waits_until: iso(row.waits_until),
    created_at: iso(row.created_at),
    started_at: iso(row.started_at),
    ended_at: iso(row.ended_at),
  }));
}

interface TaskTimes {
  readonly waits_until: Date | null;
  readonly created_at: Date | null;
  readonly started_at: Date | null;
  readonly ended_at: Date | null;
}

async function changesOf(db: Db, sessionId: SessionId): Promise<SnapshotChange[]> {
  return [
    ...(await db<SnapshotChange[]>`
      SELECT id AS change_id, task_id, state, additions, deletions, partial,
             CASE jsonb_typeof(files) WHEN 'array' THEN jsonb_array_length(files) ELSE 0 END AS files
        FROM pending_changes WHERE session_id = ${sessionId} AND state = 'pending' ORDER BY created_at, id`),
  ];
}

async function permissionsOf(db: Db, sessionId: SessionId): Promise<SnapshotPermission[]> {
  return [
    ...(await db<SnapshotPermission[]>`
      SELECT id AS permission_id, task_id, options, tool_call
        FROM permissions WHERE session_id = ${sessionId} AND state = 'pending' ORDER BY requested_at, id`),
  ];
}

async function latestOf(db: Db, sessionId: SessionId): Promise<Pick<SnapshotFrame, 'commands' | 'usage'>> {
  const newest = (type: string) => db`
    (SELECT body FROM frames WHERE session_id = ${sessionId} AND type = ${type} AND type IN ('agent_commands', 'usage')
      ORDER BY seq DESC LIMIT 1)`;
  const [row] = await db<{ commands: { commands?: AgentCommand[] } | null; usage: { usage?: Usage } | null }[]>`
    SELECT ${newest('agent_commands')} AS commands, ${newest('usage')} AS usage`;
  return { commands: row?.commands?.commands ?? [], usage: row?.usage?.usage ?? null };
}

// Any program may write any time, and any JSON: what has no form here is shown as absent.
const iso = (date: Date | null): string | null =>
  date === null || Number.isNaN(date.getTime()) ? null : date.toISOString();
const listed = <Item>(value: readonly Item[] | null): readonly Item[] => (Array.isArray(value) ? value : []);
