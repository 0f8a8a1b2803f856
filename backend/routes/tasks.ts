/** Tasks: hand over, look, cancel. */
import { z } from 'zod';
import { submit, type Submission } from '../../client/submit.ts';
import { submitOnce } from '../../client/submit-once.ts';
import { describe, TASK_ACTIONS, type TaskDescription } from '../../client/tasks.ts';
import type { TaskId } from '../../workflows/contract.ts';
import type { Api, RouteDeps } from '../deps.ts';
import { id, idParams, problems, text, time } from '../schemas.ts';

const newTask = z
  .strictObject({
    project_id: id.optional(),
    project_path: text(4_096).optional().describe('A folder in a git repository; the project is added if it is new.'),
    input: z.string().min(1).max(1_000_000).describe('What the agent is to do.'),
    agent: text(200).optional().describe('A name of GET /api/agents.'),
    model: text(200).optional(),
    mode_id: text(200).optional(),
    thinking_option_id: text(200).optional(),
    session_id: id.optional().describe('Goes on in this session, after the tasks that wait in it.'),
    chat_id: id.optional(),
    priority: z.int().min(1).max(5).optional().describe('1 starts first; default 3.'),
    permission_policy: z.enum(['allow', 'deny', 'ask']).optional().describe('"ask" is not supported yet.'),
  })
  .meta({ id: 'NewTask' });

const taskChange = z.object({
  id,
  state: z.string(),
  partial: z.boolean().describe('The turn did not come to its end.'),
  files: z.int(),
  additions: z.int().nullable(),
  deletions: z.int().nullable(),
  base_commit: z.string().nullable(),
  result_commit: z.string().nullable(),
});

const nullable = z.string().nullable();
// States are plain strings here: rows of an adopted table may have some of their own.
const task = z
  .object({
    id,
    project_id: id.nullable(),
    project_name: nullable,
    project_path: nullable,
    input: z.string(),
    agent: nullable,
    model: nullable,
    mode_id: nullable,
    thinking_option_id: nullable,
    session_id: id.nullable(),
    chat_id: id.nullable(),
    state: z.string().describe('pending, running, completed, failed or cancelled; the last three are final.'),
    phase: z.string(),
    error_code: nullable,
    output_summary: nullable,
    execution_path: nullable,
    priority: z.int().nullable(),
    permission_policy: nullable,
    cost_tokens: z.int().nullable(),
    run_id: nullable,
    host: nullable,
    kept_worktree: nullable,
    cancel_requested_at: time,
    cancel_reason: nullable,
    created_at: time,
    started_at: time,
    ended_at: time,
    change: taskChange.nullable(),
    workflow_id: z.string(),
    workflow_url: nullable.describe("Where Temporal's Web UI shows the run."),
    actions: z.array(z.enum(TASK_ACTIONS)).describe('What can be asked of it now.'),
  })
  .meta({ id: 'Task' });

const idempotencyHeaders = z.object({
  'idempotency-key': z
    .string()
    .regex(/^[\x21-\x7e]{1,255}$/, 'expected 1 to 255 visible ASCII characters')
    .optional()
    .describe('The same key and body again, within a day: the same task and answer.'),
});

export function taskRoutes(api: Api, { longhaul, projectRoots }: RouteDeps): void {
  const deps = { ...longhaul, projectRoots };

  api.post(
    '/tasks',
    {
      schema: {
        summary: 'Hand over a task',
        tags: ['tasks'],
        headers: idempotencyHeaders,
        body: newTask,
        response: { 201: task, ...problems('invalid', 'missing', 'conflict', 'refused') },
      },
    },
    async (request, reply) => {
      const key = request.headers['idempotency-key'];
      const submission = submissionOf(request.body);
      if (key === undefined) {
        const { taskId } = await submit(deps, submission);
        return reply
          .code(201)
          .header('location', `/api/tasks/${taskId}`)
          .send(taskBody(await describe(deps, taskId)));
      }
      const { task, replayed } = await submitOnce(deps, submission, key);
      void reply.header('location', `/api/tasks/${task.id}`).header('idempotency-replayed', String(replayed));
      return reply.code(201).send(taskBody(task));
    },
  );

  api.get(
    '/tasks/:id',
    {
      schema: {
        summary: 'One task',
        tags: ['tasks'],
        params: idParams,
        response: { 200: task, ...problems('invalid', 'missing') },
      },
    },
    async (request) => taskBody(await describe(deps, request.params.id as TaskId)),
  );
}

function submissionOf(body: z.output<typeof newTask>): Submission {
  const given = {
    projectId: body.project_id,
    projectPath: body.project_path,
    input: body.input,
    agent: body.agent,
    model: body.model,
    modeId: body.mode_id,
    thinkingOptionId: body.thinking_option_id,
    sessionId: body.session_id,
    chatId: body.chat_id,
    priority: body.priority,
    permissionPolicy: body.permission_policy,
  };
  return { ...definedOf(given), input: body.input };
}

type Defined<T> = { [K in keyof T]?: Exclude<T[K], undefined> };

function definedOf<T extends object>(value: T): Defined<T> {
  return Object.fromEntries(Object.entries(value).filter(([, one]) => one !== undefined)) as Defined<T>;
}

/** Files are listed with the change itself. */
function taskBody({ change, ...rest }: TaskDescription): z.output<typeof task> {
  return { ...rest, actions: [...rest.actions], change: change && { ...change, files: change.files.length } };
}
