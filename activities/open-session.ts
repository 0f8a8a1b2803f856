/**
 * Step 1, open session: creates the session, chat and messages that the task needs, in one transaction that locks the
 * task's row. A second execution finds what the first one created, because the ids derive from the task's id and the
 * row records that the task was opened.
 */
import { Context } from '@temporalio/activity';
import { idOf } from '../store/ids.ts';
import { agentDisabledError } from '../store/agent-snapshots.ts';
import { type Conversation, lockTaskToOpen, openTask, type TaskToOpen } from '../store/open-task.ts';
import { findSession, newestOpenChat } from '../store/sessions.ts';
import type { Tx } from '../store/sql.ts';
import { refuseInvalidProjectPath, refuseInvalidTaskValues } from '../store/task-limits.ts';
import type { MessageId, SessionId } from '../contract/ids.ts';
import type { OpenedSession, StepInput } from '../contract/steps.ts';
import { type ExecutionPath, isFinal } from '../contract/task.ts';
import { LonghaulError } from '../contract/errors.ts';
import { NATIVE_AGENT } from '../contract/names.ts';
import type { StepDeps } from './step.ts';

interface Route {
  readonly path: ExecutionPath;
  readonly warning?: string;
}

export function makeOpenSession({ sql, agents, host, temporalContent }: StepDeps) {
  return async function openSession({ taskId }: StepInput): Promise<OpenedSession> {
    const runId = Context.current().info.workflowExecution?.runId ?? null;
    const place = await sql.begin(async (tx): Promise<OpenedSession> => {
      const task = await lockTaskToOpen(tx, taskId);
      if (!task) throw new LonghaulError('task_gone', `task ${taskId}: its row was deleted before the task began`);
      if (isFinal(task.state)) return { kind: 'closed', state: task.state };
      // The task was opened before. Any program may write these columns, but only this step gives the message this id.
      if (task.session_id && task.message_id === idOf(taskId, 'assistant-message') && task.execution_path) {
        return opened(task, { sessionId: task.session_id, messageId: task.message_id, path: task.execution_path });
      }
      refuse(task);
      const route = routeOf(task);
      if (route.path !== 'native' && !task.project_path) {
        throw new LonghaulError('project_has_no_path', 'Project has no path — cannot create worktree');
      }
      const conversation = await conversationOf(tx, task);
      // The row is locked and its state is not final, so no other program can end the task before this transition.
      await openTask(tx, { task, conversation, ...route, runId, host });
      return opened(task, { ...conversation, path: route.path });
    });
    // The check comes after the session exists, so that the session's log can show why the task has failed.
    if (place.kind === 'opened') agents.requirePath(place.path, place.agent);
    return temporalContent === 'none' ? withoutAgent(place) : place;
  };
}

function withoutAgent(place: OpenedSession): OpenedSession {
  if (place.kind === 'closed' || place.agent === undefined) return place;
  const { agent: _agent, ...rest } = place;
  return { ...rest, agentWithheld: true };
}

function opened(
  task: TaskToOpen,
  { sessionId, messageId, path }: { sessionId: SessionId; messageId: MessageId; path: ExecutionPath },
): OpenedSession {
  return { kind: 'opened', sessionId, messageId, path, hasProgram: true, ...(task.agent ? { agent: task.agent } : {}) };
}

/** Refuses a row that the API would refuse, with the same message, because any program may insert a row. */
function refuse(task: TaskToOpen): void {
  if (!task.input?.trim())
    throw new LonghaulError('invalid_input', 'The task has no input: describe what the agent must do.');
  refuseInvalidTaskValues({
    ...task,
    modeId: task.mode_id,
    thinkingOptionId: task.thinking_option_id,
    permissionPolicy: task.permission_policy,
  });
  if (task.project_id === null) {
    throw new LonghaulError(
      'project_not_found',
      'The task has no project: set project_id to the id of a row of projects.',
    );
  }
  if (!task.project_found) {
    throw new LonghaulError(
      'project_not_found',
      `Project ${task.project_id} does not exist. Insert it into projects first.`,
    );
  }
  if (task.project_path) refuseInvalidProjectPath(task.project_path);
  if (task.disabled) throw agentDisabledError(task.listed && task.agent ? task.agent : NATIVE_AGENT);
}

function routeOf(task: TaskToOpen): Route {
  if (!task.agent || task.agent === NATIVE_AGENT) return { path: 'native' };
  if (!task.listed) {
    return {
      path: 'native',
      warning: `Agent "${task.agent}" is not listed in available_agents; the task takes the native path.`,
    };
  }
  return { path: task.supports_acp ? 'acp' : 'pty' };
}

async function conversationOf(tx: Tx, task: TaskToOpen): Promise<Conversation> {
  const messageId = idOf(task.id, 'assistant-message');
  const ownChat = idOf(task.id, 'chat');
  if (!task.session_id) {
    const sessionId = idOf(task.id, 'session');
    const chatId = task.chat_id ?? ownChat;
    return { sessionId, chatId, messageId, isNewSession: true, isNewChat: chatId === ownChat };
  }
  const sessionId = task.session_id;
  await refuseSession(tx, task, sessionId);
  const chatId = task.chat_id ?? (await newestOpenChat(tx, sessionId)) ?? ownChat;
  return { sessionId, chatId, messageId, isNewSession: false, isNewChat: chatId === ownChat };
}

async function refuseSession(tx: Tx, task: TaskToOpen, sessionId: SessionId): Promise<void> {
  const session = await findSession(tx, sessionId);
  if (!session) throw new LonghaulError('invalid_input', `Session ${sessionId} does not exist.`);
  if (session.projectId && session.projectId !== task.project_id) {
    throw new LonghaulError(
      'invalid_input',
      `Session ${sessionId} belongs to project ${session.projectId}, the task to ${task.project_id}.`,
    );
  }
}
