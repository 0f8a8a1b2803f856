/**
 * Step 1, open session: in one transaction that locks the task's row, the session, chat and messages that
 * the task needs. Run twice it finds what it made: ids derive from the task's, and the row says it is open.
 */
import { Context } from '@temporalio/activity';
import { appendKeyed, type KeyedFrame } from '../store/append-frames.ts';
import { idOf } from '../store/ids.ts';
import type { Tx } from '../store/sql.ts';
import { MAX_INPUT_CHARS, refuseProjectPath, refuseTaskValues } from '../store/task-limits.ts';
import type { ChatId, MessageId, ProjectId, SessionId, TaskId } from '../contract/ids.ts';
import type { OpenedSession, StepInput } from '../contract/steps.ts';
import { type ExecutionPath, isFinal, type TaskState } from '../contract/task.ts';
import { head } from '../contract/cut-text.ts';
import { LonghaulError } from '../contract/errors.ts';
import type { StepDeps } from './step.ts';

interface TaskRow {
  readonly id: TaskId;
  readonly project_id: ProjectId | null;
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
  readonly listed: boolean;
}

interface Route {
  readonly path: ExecutionPath;
  readonly warning?: string;
}

export function makeOpenSession({ sql, agents, host, temporalContent }: StepDeps) {
  return async function openSession({ taskId }: StepInput): Promise<OpenedSession> {
    const runId = Context.current().info.workflowExecution?.runId ?? null;
    const place = await sql.begin(async (tx): Promise<OpenedSession> => {
      const task = await lockTask(tx, taskId);
      if (isFinal(task.state)) return { kind: 'closed', state: task.state };
      // By us: any program may write these columns, but no other gives the message this id.
      if (task.session_id && task.message_id === idOf(taskId, 'assistant-message') && task.execution_path) {
        return opened(task, { sessionId: task.session_id, messageId: task.message_id, path: task.execution_path });
      }
      refuse(task);
      const route = routeOf(task);
      if (route.path !== 'native' && !task.project_path) {
        throw new LonghaulError('project_has_no_path', 'Project has no path — cannot create worktree');
      }
      const place = await placeOf(tx, task);
      // Sent together, run in this order.
      const [frames] = await Promise.all([
        firstFrames(tx, task, place, route),
        ...insertPlace(tx, task, place, route),
        tx`
          UPDATE tasks SET session_id = ${place.sessionId}, chat_id = ${place.chatId}, message_id = ${place.messageId},
                 execution_path = ${route.path}, run_id = coalesce(${runId}, run_id), host = ${host},
                 claimed_at = coalesce(claimed_at, clock_timestamp())
           WHERE id = ${taskId}`,
      ]);
      await appendKeyed(tx, place.sessionId, frames);
      return opened(task, { ...place, path: route.path });
    });
    // Once the session exists: its log says why the task has failed.
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
  task: TaskRow,
  { sessionId, messageId, path }: { sessionId: SessionId; messageId: MessageId; path: ExecutionPath },
): OpenedSession {
  return { kind: 'opened', sessionId, messageId, path, hasProgram: true, ...(task.agent ? { agent: task.agent } : {}) };
}

async function lockTask(tx: Tx, taskId: TaskId): Promise<TaskRow> {
  const [task] = await tx<TaskRow[]>`
    SELECT t.id, t.project_id, left(t.input, ${MAX_INPUT_CHARS + 1}) AS input, t.agent, t.model, t.mode_id,
           t.thinking_option_id, t.priority, t.session_id, t.chat_id, t.message_id, t.state,
           t.execution_path, t.permission_policy, p.id IS NOT NULL AS project_found, p.path AS project_path,
           a.supports_acp, a.name IS NOT NULL AS listed
      FROM tasks t
      LEFT JOIN projects p ON p.id = t.project_id
      LEFT JOIN available_agents a ON a.name = t.agent
     WHERE t.id = ${taskId} FOR UPDATE OF t`;
  if (!task) throw new LonghaulError('task_gone', `task ${taskId}: its row was deleted before it began`);
  return task;
}

/** A program may insert any row; what our own API refuses beforehand ends here with the same words. */
function refuse(task: TaskRow): void {
  if (!task.input?.trim()) throw new LonghaulError('invalid_input', 'The task has no input: say what is to be done.');
  refuseTaskValues({
    ...task,
    modeId: task.mode_id,
    thinkingOptionId: task.thinking_option_id,
    permissionPolicy: task.permission_policy,
  });
  if (task.project_id === null) {
    throw new LonghaulError('project_not_found', 'The task has no project: give it the id of a row of projects.');
  }
  if (!task.project_found) {
    throw new LonghaulError(
      'project_not_found',
      `Project ${task.project_id} does not exist. Insert it into projects first.`,
    );
  }
  if (task.project_path) refuseProjectPath(task.project_path);
}

function routeOf(task: TaskRow): Route {
  if (!task.agent) return { path: 'native' };
  if (!task.listed) {
    return {
      path: 'native',
      warning: `Agent "${task.agent}" is not listed in available_agents; the task takes the native path.`,
    };
  }
  return { path: task.supports_acp ? 'acp' : 'pty' };
}

/** Where a task's conversation is kept. What is not there yet has an id that derives from the task's. */
interface Place {
  readonly sessionId: SessionId;
  readonly chatId: ChatId;
  readonly messageId: MessageId;
  readonly isNewSession: boolean;
  readonly isNewChat: boolean;
}

async function placeOf(tx: Tx, task: TaskRow): Promise<Place> {
  const messageId = idOf(task.id, 'assistant-message');
  const ownChat = idOf(task.id, 'chat');
  if (!task.session_id) {
    const sessionId = idOf(task.id, 'session');
    const chatId = task.chat_id ?? ownChat;
    return { sessionId, chatId, messageId, isNewSession: true, isNewChat: chatId === ownChat };
  }
  const sessionId = task.session_id;
  await refuseSession(tx, task, sessionId);
  const chatId = task.chat_id ?? (await newestChat(tx, sessionId)) ?? ownChat;
  return { sessionId, chatId, messageId, isNewSession: false, isNewChat: chatId === ownChat };
}

async function refuseSession(tx: Tx, task: TaskRow, sessionId: SessionId): Promise<void> {
  const [session] = await tx<{ id: SessionId; project_id: ProjectId | null }[]>`
    SELECT id, project_id FROM sessions WHERE id = ${sessionId}`;
  if (!session) throw new LonghaulError('invalid_input', `Session ${sessionId} does not exist.`);
  if (session.project_id && session.project_id !== task.project_id) {
    throw new LonghaulError(
      'invalid_input',
      `Session ${session.id} belongs to project ${session.project_id}, the task to ${task.project_id}.`,
    );
  }
}

async function newestChat(tx: Tx, sessionId: SessionId): Promise<ChatId | undefined> {
  const [newest] = await tx<{ id: ChatId }[]>`
    SELECT id FROM chats WHERE session_id = ${sessionId} AND status = 'open'
     ORDER BY created_at DESC NULLS LAST, id DESC LIMIT 1`;
  return newest?.id;
}

function insertPlace(tx: Tx, task: TaskRow, place: Place, { path }: Route): Promise<unknown>[] {
  const { sessionId, chatId, messageId } = place;
  const native = path === 'native';
  const inserts: Promise<unknown>[] = [];
  if (place.isNewSession) {
    const name = native ? `Task: ${head(task.input, 40)}` : `Task [${task.agent}]: ${head(task.input, 30)}`;
    inserts.push(tx`
      INSERT INTO sessions (id, project_id, name, model, status)
      VALUES (${sessionId}, ${task.project_id}, ${name.toWellFormed()}, ${task.model}, 'open')
      ON CONFLICT (id) DO NOTHING`);
  }
  if (place.isNewChat) {
    inserts.push(tx`
      INSERT INTO chats (id, session_id, name, status, created_at)
      VALUES (${chatId}, ${sessionId}, ${native ? 'Task execution' : 'External agent execution'}, 'open', clock_timestamp())
      ON CONFLICT (id) DO NOTHING`);
  }
  // With a session of its own the task brings its user message; in a given session whoever asked wrote it.
  if (place.isNewSession) {
    inserts.push(tx`
      INSERT INTO messages (id, session_id, chat_id, task_id, role, content, status, created_at, finished_at)
      VALUES (${idOf(task.id, 'user-message')}, ${sessionId}, ${chatId}, ${task.id}, 'user', ${task.input},
              'complete', clock_timestamp(), clock_timestamp())
      ON CONFLICT (id) DO NOTHING`);
  }
  inserts.push(tx`
    INSERT INTO messages (id, session_id, chat_id, task_id, role, content, status, created_at)
    VALUES (${messageId}, ${sessionId}, ${chatId}, ${task.id}, 'assistant', '', 'streaming', clock_timestamp())
    ON CONFLICT (id) DO NOTHING`);
  return inserts;
}

async function firstFrames(
  tx: Tx,
  task: TaskRow,
  { sessionId, chatId, messageId, isNewSession }: Place,
  route: Route,
): Promise<KeyedFrame[]> {
  const [known] = await tx<{ body: { commands?: [] } }[]>`
    SELECT body FROM frames WHERE session_id = ${sessionId} AND type = 'agent_commands' ORDER BY seq DESC LIMIT 1`;
  const frames: KeyedFrame[] = [];
  const add = (key: string, body: KeyedFrame['body']): void => {
    frames.push({ key: `${task.id}:${key}`, taskId: task.id, body });
  };
  if (isNewSession) {
    const user = { message_id: idOf(task.id, 'user-message'), chat_id: chatId };
    // The row has all of it; a frame is at most 64 KB.
    add('user-message', {
      type: 'message',
      ...user,
      role: 'user',
      content: head(task.input, 8_000),
      status: 'complete',
    });
  }
  add('message-started', { type: 'message_started', message_id: messageId, chat_id: chatId, role: 'assistant' });
  add('agent-commands', { type: 'agent_commands', commands: known?.body.commands ?? [] });
  if (route.warning) add('route', { type: 'warning', message: route.warning });
  return frames;
}
