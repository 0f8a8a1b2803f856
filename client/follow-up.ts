/**
 * Continues a session with another message. The new task uses the agent, the choices and the permission policy that the
 * message names. For each of these that the message does not name, the new task uses that of the task that it
 * continues, but no choices if the message names another agent.
 */
import { findTask, type TaskView } from '../store/task-views.ts';
import { newestTask } from '../store/sessions.ts';
import type { Sql } from '../store/sql.ts';
import type { SessionId, TaskId } from '../contract/ids.ts';
import { NATIVE_AGENT } from '../contract/names.ts';
import { sessionOfTask } from './session-queue.ts';
import { notFoundError, parseId } from './short-ids.ts';
import { policyOf } from './retry.ts';
import type { Submission } from './submit.ts';

interface Deps {
  readonly sql: Sql;
}

/** A message to a session: the input of the session's next task. */
export type FollowUp = Pick<
  Submission,
  'input' | 'interrupt' | 'agent' | 'model' | 'modeId' | 'thinkingOptionId' | 'chatId' | 'priority'
>;

/**
 * Returns the submission of a message that replies to a task: it continues the task's session, in the task's chat.
 * Fails with `task_not_found`, or with `session_not_found` if the task has no session yet.
 */
export async function replyTo({ sql }: Deps, id: TaskId, message: FollowUp): Promise<Submission> {
  const taskId = parseId('task', id);
  const sessionId = await sessionOfTask({ sql }, taskId);
  const task = await findTask(sql, taskId);
  if (!task) throw notFoundError('task', taskId);
  return { ...continuing(task, message.agent), ...(task.chat_id && { chatId: task.chat_id }), ...message, sessionId };
}

/**
 * Returns the submission of a message to a session, with the values of the session's newest task. A session without
 * tasks has no such values, so the native agent does the task unless the message names another agent. `submit` refuses
 * an unknown session.
 */
export async function messageTo({ sql }: Deps, id: SessionId, message: FollowUp): Promise<Submission> {
  const sessionId = parseId('session', id);
  const newest = await newestTask(sql, sessionId);
  const task = newest && (await findTask(sql, newest));
  return { ...(task && continuing(task, message.agent)), ...message, sessionId };
}

/**
 * Returns the values that the new task takes from the task that it continues. If the message names another agent, the
 * model, mode and thinking option are left out, because another agent has other ones.
 */
function continuing(task: TaskView, named: string | undefined): Omit<Submission, 'input'> {
  const agent = task.agent === null || task.execution_path === 'native' ? NATIVE_AGENT : task.agent;
  if (named !== undefined && named !== agent) return policyOf(task);
  return {
    agent,
    ...(task.model && { model: task.model }),
    ...(task.mode_id && { modeId: task.mode_id }),
    ...(task.thinking_option_id && { thinkingOptionId: task.thinking_option_id }),
    ...policyOf(task),
  };
}
