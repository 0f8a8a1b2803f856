/** Retries a task that has ended, as a new task. */
import { idOf } from '../store/ids.ts';
import { rulesOfTask } from '../store/permission-rules.ts';
import { findTask, type TaskView } from '../store/task-views.ts';
import { shortId, type TaskId } from '../contract/ids.ts';
import { isFinal } from '../contract/task.ts';
import { LonghaulError } from '../contract/errors.ts';
import { notFoundError, parseId } from './short-ids.ts';
import { submitOnce, type SubmittedOnce } from './submit-once.ts';
import type { ReadDeps } from './tasks.ts';
import { submit, type Submission, type SubmittedRule, type SubmitDeps, type SubmittedTask } from './submit.ts';

/**
 * Retries the task as `retry` does, under an idempotency key of the caller: if the request is sent again, it makes no
 * second task. Fails as `submitOnce` does.
 */
export async function retryOnce(
  deps: SubmitDeps & ReadDeps & Pick<SubmitDeps, 'sql'>,
  id: TaskId,
  key: string,
): Promise<SubmittedOnce> {
  return submitOnce(deps, await submissionOf(deps, id), key);
}

/**
 * Submits a new task with the input, agent, model, mode, policy, rules and priority of a task that has ended. If the earlier
 * task continued a session, the new task continues that session. If the earlier task began a session, the new task
 * begins another one. Fails as `submit` does, and with `task_open` for a task that has not ended.
 */
export async function retry(deps: SubmitDeps, id: TaskId): Promise<SubmittedTask> {
  return submit(deps, await submissionOf(deps, id));
}

const ruleAgain = ({ effect, tool_kind, path_glob, command_pattern }: SubmittedRule): SubmittedRule => ({
  effect,
  tool_kind: tool_kind ?? null,
  path_glob: path_glob ?? null,
  command_pattern: command_pattern ?? null,
});

/** Returns the permission policy of the task. Only the policy `ask` has the two values of a timeout. */
export function policyOf(
  task: TaskView,
): Pick<Submission, 'permissionPolicy' | 'permissionTimeoutS' | 'permissionDefault'> {
  const { permission_policy: policy, permission_timeout_s: timeout, permission_default: fallback } = task;
  if (policy !== 'ask') return policy ? { permissionPolicy: policy } : {};
  return {
    permissionPolicy: policy,
    ...(timeout !== null && { permissionTimeoutS: timeout }),
    ...(fallback && { permissionDefault: fallback }),
  };
}

async function submissionOf(deps: SubmitDeps, id: TaskId): Promise<Submission> {
  const taskId = parseId('task', id);
  const task = await findTask(deps.sql, taskId);
  if (!task) throw notFoundError('task', taskId);
  if (!isFinal(task.state)) {
    throw new LonghaulError(
      'task_open',
      `Task ${taskId} is ${task.state}: only a task that has ended can be retried. \`longhaul cancel ${shortId(taskId)}\` ends it.`,
    );
  }
  const given = task.session_id !== null && task.session_id !== idOf(taskId, 'session');
  const { priority } = task;
  const rules = (await rulesOfTask(deps.sql, taskId)).filter(({ scope }) => scope === 'task');
  return {
    input: task.input,
    ...(task.project_id && { projectId: task.project_id }),
    ...(task.agent && { agent: task.agent }),
    ...(task.model && { model: task.model }),
    ...(task.mode_id && { modeId: task.mode_id }),
    ...(task.thinking_option_id && { thinkingOptionId: task.thinking_option_id }),
    ...policyOf(task),
    ...(rules.length > 0 && { rules: rules.map(ruleAgain) }),
    // Another program may have stored a priority that is not valid. It had no effect on the earlier task, so it is
    // omitted.
    ...(priority !== null && priority >= 1 && priority <= 5 && { priority }),
    ...(given && task.session_id && { sessionId: task.session_id }),
    ...(given && task.chat_id && { chatId: task.chat_id }),
  };
}
