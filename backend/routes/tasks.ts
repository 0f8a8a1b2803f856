/** Tasks: submit, read, cancel, retry, remove. */
import { z } from 'zod';
import { cancel } from '../../client/cancel.ts';
import { submit, type Submission } from '../../client/submit.ts';
import { removeTask } from '../../client/remove-task.ts';
import { retry, retryOnce } from '../../client/retry.ts';
import { submitOnce } from '../../client/submit-once.ts';
import { describe, pageOfTasks } from '../../client/tasks.ts';
import type { ProjectId, SessionId, TaskId } from '../../contract/ids.ts';
import { TASK_STATES } from '../../contract/task.ts';
import type { Api, RouteDeps } from '../deps.ts';
import { definedOf, id, idParams, pageOf, pageQuery, problems, query, text } from '../schemas.ts';
import { cancelled, idempotency, newTask, removedTask, task, taskBody } from './task-schemas.ts';

const filter = query({
  ...pageQuery,
  project_id: id.optional(),
  session_id: id.optional(),
  state: z.enum(TASK_STATES).optional(),
});
const tags = ['tasks'];

export function taskRoutes(api: Api, { longhaul, projectRoots }: RouteDeps): void {
  const deps = { ...longhaul, projectRoots };

  const handOver = {
    operationId: 'createTask',
    summary: 'Submit a task',
    tags,
    headers: idempotency,
    body: newTask,
    response: { 201: task, ...problems('missing', 'conflict', 'body', 'refused') },
  };
  api.post('/tasks', { schema: handOver }, async (request, reply) => {
    const key = request.headers['idempotency-key'];
    const submission = submissionOf(request.body);
    if (key === undefined) {
      const { taskId } = await submit(deps, submission);
      return reply
        .code(201)
        .header('location', pathOf(taskId))
        .send(taskBody(await describe(deps, taskId)));
    }
    const made = await submitOnce(deps, submission, key);
    void reply.header('idempotency-replayed', String(made.replayed)).header('location', pathOf(made.task.id));
    return reply.code(201).send(taskBody(made.task));
  });

  const list = {
    operationId: 'listTasks',
    summary: 'Tasks, newest first',
    tags,
    querystring: filter,
    response: { 200: pageOf(task), ...problems() },
  };
  api.get('/tasks', { schema: list }, async (request) => {
    const { limit, cursor, project_id, session_id, state } = request.query;
    const wanted = definedOf({ projectId: project_id as ProjectId, sessionId: session_id as SessionId, state });
    const { items, next_cursor } = await pageOfTasks(deps, wanted, { limit, ...definedOf({ cursor }) });
    return { items: items.map((one) => ({ ...one, actions: [...one.actions] })), next_cursor };
  });

  const show = {
    operationId: 'getTask',
    summary: 'One task',
    tags,
    params: idParams,
    response: { 200: task, ...problems('missing') },
  };
  api.get('/tasks/:id', { schema: show }, async ({ params }) => taskBody(await describe(deps, params.id as TaskId)));

  const stop = {
    operationId: 'cancelTask',
    summary: 'Cancel a task',
    description: 'The request may be sent again. What the agent has written so far is kept as a partial change.',
    tags,
    params: idParams,
    body: z.strictObject({ reason: text(400).optional() }).nullish(),
    response: {
      200: cancelled.describe('The task is cancelled, or had ended before.'),
      202: cancelled.describe('The task ends as soon as its agent is stopped.'),
      ...problems('missing', 'body'),
    },
  };
  api.post('/tasks/:id/cancel', { config: { repeatable: true }, schema: stop }, async (request, reply) => {
    const taskId = request.params.id as TaskId;
    const { kind: outcome } = await cancel(deps, taskId, request.body?.reason);
    const done = outcome === 'cancelled' || outcome === 'already_ended';
    return reply.code(done ? 200 : 202).send({ outcome, task: taskBody(await describe(deps, taskId)) });
  });

  const again = {
    operationId: 'retryTask',
    summary: 'Retry a task that has ended',
    description:
      'A new task with the same input, agent, model, mode, policy, rules of its own and priority; in the same session if the first one was given a session.',
    tags,
    params: idParams,
    headers: idempotency,
    response: { 201: task, ...problems('missing', 'conflict', 'body', 'refused') },
  };
  api.post('/tasks/:id/retry', { schema: again }, async (request, reply) => {
    const key = request.headers['idempotency-key'];
    const id = request.params.id as TaskId;
    if (key === undefined) {
      const { taskId } = await retry(deps, id);
      return reply
        .code(201)
        .header('location', pathOf(taskId))
        .send(taskBody(await describe(deps, taskId)));
    }
    const made = await retryOnce(deps, id, key);
    void reply.header('idempotency-replayed', String(made.replayed)).header('location', pathOf(made.task.id));
    return reply.code(201).send(taskBody(made.task));
  });

  const remove = {
    operationId: 'removeTask',
    summary: 'Remove a task that has ended',
    description:
      'Its messages, frames and change are removed with it. The commit of its result stays in the mirror of the project.',
    tags,
    params: idParams,
    response: { 200: removedTask, ...problems('missing', 'conflict', 'body') },
  };
  api.delete('/tasks/:id', { config: { repeatable: true }, schema: remove }, async ({ params }) => {
    const id = params.id as TaskId;
    const { session, resultCommit: commit, projectPath } = await removeTask(deps, id);
    const kept = commit === null ? null : { ref: taskRefName(id), commit, project_path: projectPath };
    return { task_id: id, session, kept_result: kept };
  });
}

function submissionOf(body: z.output<typeof newTask>): Submission {
  const { input } = body;
  const rest = definedOf({
    projectId: body.project_id,
    projectPath: body.project_path,
    agent: body.agent,
    model: body.model,
    modeId: body.mode_id,
    thinkingOptionId: body.thinking_option_id,
    sessionId: body.session_id,
    chatId: body.chat_id,
    interrupt: body.interrupt,
    priority: body.priority,
    permissionPolicy: body.permission_policy,
    permissionTimeoutS: body.permission_timeout_s,
    permissionDefault: body.permission_default,
    rules: body.rules?.map((rule) => ({ effect: rule.effect, ...definedOf(rule) })),
  });
  return { ...rest, input };
}

const pathOf = (id: TaskId): string => `/api/tasks/${id}`;
const taskRefName = (id: TaskId): string => `refs/longhaul/tasks/${id}`;
