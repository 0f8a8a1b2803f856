/**
 * Routes that continue a session with another message: a reply to one of its tasks, or a message to the session itself.
 */
import { z } from 'zod';
import { type FollowUp, messageTo, replyTo } from '../../client/follow-up.ts';
import { submit, type Submission } from '../../client/submit.ts';
import { submitOnce } from '../../client/submit-once.ts';
import { describe } from '../../client/tasks.ts';
import type { SessionId, TaskId } from '../../contract/ids.ts';
import type { Api, RouteDeps } from '../deps.ts';
import { definedOf, idParams, problems } from '../schemas.ts';
import { idempotency, newTask, task, taskBody } from './task-schemas.ts';

const followUp = newTask
  .pick({
    input: true,
    interrupt: true,
    agent: true,
    model: true,
    mode_id: true,
    thinking_option_id: true,
    chat_id: true,
    priority: true,
  })
  .meta({
    id: 'FollowUp',
    description: 'What is left out is as in the task that it continues, also the permission policy.',
  });
const tags = ['tasks'];
const response = { 201: task, ...problems('missing', 'conflict', 'body', 'refused') };

interface Made {
  readonly task: z.output<typeof task>;
  readonly replayed?: boolean;
}

export function followUpRoutes(api: Api, { longhaul, projectRoots }: RouteDeps): void {
  const deps = { ...longhaul, projectRoots };

  const make = async (submission: Submission, body: object, key: string | undefined): Promise<Made> => {
    if (key === undefined) return { task: taskBody(await describe(deps, (await submit(deps, submission)).taskId)) };
    const { sessionId } = submission;
    const made = await submitOnce(deps, submission, key, { ...body, sessionId });
    return { task: taskBody(made.task), replayed: made.replayed };
  };
  const headersOf = ({ task: { id }, replayed }: Made) => ({
    location: `/api/tasks/${id}`,
    ...(replayed !== undefined && { 'idempotency-replayed': String(replayed) }),
  });

  const reply = {
    operationId: 'replyToTask',
    summary: 'Continue the session of a task, in its chat',
    description:
      'The new task waits for the tasks of the session. With `interrupt` it is the next one, and the running task is cancelled.',
    tags,
    params: idParams,
    headers: idempotency,
    body: followUp,
    response,
  };
  api.post('/tasks/:id/reply', { schema: reply }, async (request, answer) => {
    const submission = await replyTo(deps, request.params.id as TaskId, messageOf(request.body));
    const made = await make(submission, request.body, request.headers['idempotency-key']);
    return answer.code(201).headers(headersOf(made)).send(made.task);
  });

  const send = {
    operationId: 'sendToSession',
    summary: 'Continue a session',
    description: 'As a reply to the newest task of the session, in its newest open chat.',
    tags,
    params: idParams,
    headers: idempotency,
    body: followUp,
    response,
  };
  api.post('/sessions/:id/send', { schema: send }, async (request, answer) => {
    const submission = await messageTo(deps, request.params.id as SessionId, messageOf(request.body));
    const made = await make(submission, request.body, request.headers['idempotency-key']);
    return answer.code(201).headers(headersOf(made)).send(made.task);
  });
}

function messageOf({ input, ...body }: z.output<typeof followUp>): FollowUp {
  const rest = definedOf({
    interrupt: body.interrupt,
    agent: body.agent,
    model: body.model,
    modeId: body.mode_id,
    thinkingOptionId: body.thinking_option_id,
    chatId: body.chat_id,
    priority: body.priority,
  });
  return { ...rest, input };
}
