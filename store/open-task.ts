/**
 * Opens a task: one transaction locks its row and inserts the session, chat and messages that it needs, and its first
 * frames. The ids derive from the task's id, so a step that runs again inserts no second row.
 */
import { head } from '../contract/cut-text.ts';
import type { ChatId, MessageId, ProjectId, SessionId, TaskId } from '../contract/ids.ts';
import { NATIVE_AGENT } from '../contract/names.ts';
import type { ExecutionPath, TaskState } from '../contract/task.ts';
import type { AgentCommand } from '../contract/vocabulary.ts';
import { appendKeyed, type KeyedFrame } from './append-frames.ts';
import { offeredCommands } from './commands.ts';
import { idOf } from './ids.ts';
import { addAssistantMessage, addUserMessage } from './messages.ts';
import { addChat, addSession } from './sessions.ts';
import type { Tx } from './sql.ts';
import { MAX_INPUT_CHARS } from './task-limits.ts';
import { isNotFinal, type Transition, transitionOf } from './transition.ts';

/**
 * The maximum number of characters of the input in the frame, because a frame has at most 64 KB. The row has the whole
 * input.
 */
export const FRAME_INPUT_CHARS = 8_000;

export interface TaskToOpen {
  readonly id: TaskId;
  readonly project_id: ProjectId | null;
  /**
   * The input. An input that is too long is cut, but keeps one character more than is allowed, so that it is still
   * refused.
   */
  readonly input: string;
  readonly agent: string | null;
  readonly model: string | null;
  readonly mode_id: string | null;
  readonly thinking_option_id: string | null;
  readonly priority: number | null;
  readonly session_id: SessionId | null;
  readonly chat_id: ChatId | null;
  readonly message_id: MessageId | null;
  readonly state: TaskState;
  readonly execution_path: ExecutionPath | null;
  readonly permission_policy: string | null;
  readonly project_found: boolean;
  readonly project_path: string | null;
  readonly supports_acp: boolean | null;
  /** Whether `available_agents` has a row for the task's agent. */
  readonly listed: boolean;
  /** Whether a user has disabled the agent that does the task. */
  readonly disabled: boolean;
}

/** Locks the task's row and returns it. Returns undefined if the row was deleted. */
export async function lockTaskToOpen(tx: Tx, taskId: TaskId): Promise<TaskToOpen | undefined> {
  const [task] = await tx<TaskToOpen[]>`
    SELECT t.id, t.project_id, left(t.input, ${MAX_INPUT_CHARS + 1}) AS input, t.agent, t.model, t.mode_id,
           t.thinking_option_id, t.priority, t.session_id, t.chat_id, t.message_id, t.state,
           t.execution_path, t.permission_policy, p.id IS NOT NULL AS project_found, p.path AS project_path,
           a.supports_acp, a.name IS NOT NULL AS listed,
           EXISTS (SELECT FROM disabled_agents d WHERE d.name = coalesce(a.name, ${NATIVE_AGENT})) AS disabled
      FROM tasks t
      LEFT JOIN projects p ON p.id = t.project_id
      LEFT JOIN available_agents a ON a.name = t.agent
     WHERE t.id = ${taskId} FOR UPDATE OF t`;
  return task;
}

/** The rows of a task's conversation. The ids of rows that do not exist yet derive from the task's id. */
export interface Conversation {
  readonly sessionId: SessionId;
  readonly chatId: ChatId;
  readonly messageId: MessageId;
  readonly isNewSession: boolean;
  readonly isNewChat: boolean;
}

export interface Opening {
  readonly task: TaskToOpen;
  readonly conversation: Conversation;
  readonly path: ExecutionPath;
  /** Why the task takes another execution path than its row suggests. */
  readonly warning?: string | undefined;
  readonly runId: string | null;
  readonly host: string;
}

/** Inserts the conversation and updates the task's row. The caller's transaction has locked the task's row. */
export async function openTask(tx: Tx, opening: Opening): Promise<Transition> {
  const { task, conversation, path, runId, host } = opening;
  const { sessionId, chatId, messageId } = conversation;
  // The statements are sent together and run in this order.
  const inserts = insertConversation(tx, opening);
  const [commands, rows] = await Promise.all([
    offeredCommands(tx, { agent: path === 'native' ? NATIVE_AGENT : (task.agent ?? ''), projectId: task.project_id }),
    tx<{ session_id: SessionId | null }[]>`
      UPDATE tasks SET session_id = ${sessionId}, chat_id = ${chatId}, message_id = ${messageId},
             execution_path = ${path}, run_id = coalesce(${runId}, run_id), host = ${host},
             claimed_at = coalesce(claimed_at, clock_timestamp())
       WHERE id = ${task.id} AND ${isNotFinal(tx)}
      RETURNING session_id`,
    ...inserts,
  ]);
  const transition = await transitionOf(tx, task.id, rows);
  if (transition.kind === 'moved') await appendKeyed(tx, sessionId, firstFrames(opening, commands));
  return transition;
}

function insertConversation(tx: Tx, { task, conversation, path }: Opening): Promise<unknown>[] {
  const { sessionId, chatId, messageId, isNewSession, isNewChat } = conversation;
  const native = path === 'native';
  const inserts: Promise<unknown>[] = [];
  if (isNewSession) {
    const name = native ? `Task: ${head(task.input, 40)}` : `Task [${task.agent}]: ${head(task.input, 30)}`;
    inserts.push(addSession(tx, { id: sessionId, projectId: task.project_id, name, model: task.model }));
  }
  if (isNewChat) {
    const name = native ? 'Task execution' : 'External agent execution';
    inserts.push(addChat(tx, { id: chatId, sessionId, name }));
  }
  const of = { sessionId, chatId, taskId: task.id };
  // If the session existed before, the program that submitted the task has inserted its user message.
  if (isNewSession) {
    inserts.push(addUserMessage(tx, { ...of, id: idOf(task.id, 'user-message'), content: task.input }));
  }
  inserts.push(addAssistantMessage(tx, { ...of, id: messageId }));
  return inserts;
}

function firstFrames({ task, conversation, warning }: Opening, commands: readonly AgentCommand[]): KeyedFrame[] {
  const { chatId, messageId, isNewSession } = conversation;
  const frames = isNewSession ? [userMessageFrame(task.id, { chatId, input: task.input })] : [];
  const add = (key: string, body: KeyedFrame['body']): void => {
    frames.push({ key: `${task.id}:${key}`, taskId: task.id, body });
  };
  add('message-started', { type: 'message_started', message_id: messageId, chat_id: chatId, role: 'assistant' });
  add('agent-commands', { type: 'agent_commands', commands });
  if (warning) add('route', { type: 'warning', message: warning });
  return frames;
}

/** The frame that shows the task's user message to followers of its session. */
export function userMessageFrame(taskId: TaskId, { chatId, input }: { chatId: ChatId; input: string }): KeyedFrame {
  return {
    key: `${taskId}:user-message`,
    taskId,
    body: {
      type: 'message',
      message_id: idOf(taskId, 'user-message'),
      chat_id: chatId,
      role: 'user',
      content: head(input, FRAME_INPUT_CHARS),
      status: 'complete',
    },
  };
}
