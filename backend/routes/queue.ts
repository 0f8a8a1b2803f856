/** Routes for the queue of a session. They show the queue, change its waiting tasks, and hold or release it. */
import { z } from 'zod';
import { changeQueue, dequeueTask, editTask, getQueue, moveTask, type QueueState } from '../../client/session-queue.ts';
import { describe } from '../../client/tasks.ts';
import type { SessionId, TaskId } from '../../contract/ids.ts';
import { ON_FAILURE } from '../../contract/vocabulary.ts';
import type { Api, RouteDeps } from '../deps.ts';
import { id, idParams, nullableText, problems, time } from '../schemas.ts';
import { task, taskBody } from './task-schemas.ts';

const queue = z
  .object({
    running: id.nullable().describe('The task of the session that is started or runs.'),
    waiting: z.int().describe('The number of waiting tasks.'),
    held_since: time.describe('While it is set, no waiting task starts.'),
    held_after: id.nullable().describe('The task whose failure or cancel held the queue. Null: a request did.'),
    on_failure: z
      .enum(ON_FAILURE)
      .describe('hold: a task that fails or is cancelled holds the queue, if tasks wait. Default: continue.'),
    tasks: z
      .array(
        z.object({
          task_id: id,
          input: z.string().describe('Its first 1000 characters.'),
          agent: nullableText,
          model: nullableText,
          chat_id: id.nullable(),
          created_at: time,
        }),
      )
      .describe('The first 100 waiting tasks, in the order in which they start.'),
  })
  .meta({ id: 'Queue' });
const tags = ['queue'];

const bodyOf = ({ tasks, ...rest }: QueueState): z.output<typeof queue> => ({
  ...rest,
  tasks: tasks.map((one) => ({ ...one })),
});

export function queueRoutes(api: Api, { longhaul }: RouteDeps): void {
  const show = {
    operationId: 'getQueue',
    summary: 'The queue of a session',
    tags,
    params: idParams,
    response: { 200: queue, ...problems('missing') },
  };
  api.get('/sessions/:id/queue', { schema: show }, async ({ params }) =>
    bodyOf(await getQueue(longhaul, params.id as SessionId)),
  );

  const set = {
    operationId: 'changeQueue',
    summary: 'Hold or release the queue of a session, or set what a failure does',
    description: 'A running task continues. While the queue is held, no waiting task of the session starts.',
    tags,
    params: idParams,
    body: z
      .strictObject({
        held: z.boolean().optional().describe('true holds the queue, false releases it.'),
        on_failure: z.enum(ON_FAILURE).optional(),
      })
      .refine((body) => Object.keys(body).length > 0, 'expected held or on_failure, found neither'),
    response: { 200: queue, ...problems('missing', 'body') },
  };
  api.patch('/sessions/:id/queue', { config: { repeatable: true }, schema: set }, async ({ params, body }) => {
    const { held, on_failure: onFailure } = body;
    return bodyOf(await changeQueue(longhaul, { sessionId: params.id as SessionId, held, onFailure }));
  });

  const edit = {
    operationId: 'editTask',
    summary: 'Change the text of a waiting task',
    description: 'A task that has started meanwhile gets 409 `task_not_queued`, and keeps its text.',
    tags,
    params: idParams,
    body: z.strictObject({ input: z.string().min(1).max(1_000_000) }),
    response: { 200: task, ...problems('missing', 'conflict', 'body') },
  };
  api.patch('/tasks/:id', { config: { repeatable: true }, schema: edit }, async ({ params, body }) => {
    const taskId = params.id as TaskId;
    await editTask(longhaul, taskId, body.input);
    return taskBody(await describe(longhaul, taskId));
  });

  const move = {
    operationId: 'moveTask',
    summary: 'Move a waiting task to another place of its queue',
    description: 'Responds with the queue. A task that has started meanwhile gets 409 `task_not_queued`.',
    tags,
    params: idParams,
    body: z.strictObject({
      place: z.int().min(1).describe('1: it is the next task. Behind the last: it is the last.'),
    }),
    response: { 200: queue, ...problems('missing', 'conflict', 'body') },
  };
  api.post('/tasks/:id/move', { config: { repeatable: true }, schema: move }, async ({ params, body }) =>
    bodyOf(await moveTask(longhaul, params.id as TaskId, body.place)),
  );

  const remove = {
    operationId: 'dequeueTask',
    summary: 'Remove a waiting task from its queue',
    description: 'It ends as cancelled. A task that has started meanwhile gets 409 `task_not_queued`, and continues.',
    tags,
    params: idParams,
    response: { 200: task, ...problems('missing', 'conflict', 'body') },
  };
  api.post('/tasks/:id/dequeue', { config: { repeatable: true }, schema: remove }, async ({ params }) => {
    const taskId = params.id as TaskId;
    await dequeueTask(longhaul, taskId);
    return taskBody(await describe(longhaul, taskId));
  });
}
