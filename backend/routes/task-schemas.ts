/** The schemas of a task: the values that a caller submits, and the values that the backend returns. */
import { z } from 'zod';
import { TASK_ACTIONS, type TaskDescription } from '../../client/tasks.ts';
import { ruleWords } from './rules.ts';
import { id, nullableText, text, time } from '../schemas.ts';

export const ran = z
  .object({ model: nullableText, mode: nullableText, thinking: nullableText, agent_version: nullableText })
  .meta({ id: 'Ran' });

export const idempotency = z.object({
  'idempotency-key': z
    .string()
    .regex(/^[\x21-\x7e]{1,255}$/, 'expected 1 to 255 visible ASCII characters')
    .optional()
    .describe('The same key with the same body, within a day, is the same task and the same response.'),
});

export const newTask = z
  .strictObject({
    project_id: id.optional(),
    project_path: text(4_096).optional().describe('A folder in a git repository; the project is added if it is new.'),
    input: z.string().min(1).max(1_000_000).describe('The task for the agent.'),
    agent: text(200)
      .optional()
      .describe("A name of GET /api/agents. Default: that of the session's newest task; needed without a session."),
    model: text(200).optional(),
    mode_id: text(200).optional(),
    thinking_option_id: text(200).optional(),
    session_id: id.optional().describe('Continues this session, after the tasks that wait in it.'),
    chat_id: id.optional(),
    interrupt: z
      .boolean()
      .optional()
      .describe('Cancels the running task of the session, and makes this task the next one. Needs session_id.'),
    priority: z.int().min(1).max(5).optional().describe('1 starts first; default 3.'),
    permission_policy: z
      .enum(['allow', 'deny', 'ask'])
      .optional()
      .describe('What answers requests of the agent; with "ask" a person: see /api/permissions. Default: allow.'),
    permission_timeout_s: z
      .int()
      .min(1)
      .optional()
      .describe('Seconds that a request waits for a person; then permission_default answers. Default: without limit.'),
    permission_default: z.enum(['allow', 'deny']).optional().describe('Default: deny.'),
    rules: z
      .array(z.strictObject(ruleWords))
      .max(100)
      .optional()
      .describe(
        'Rules of the task, in the order in which they are compared: before the policy, and before the rules of its session and project.',
      ),
  })
  .meta({ id: 'NewTask', description: 'One of project_id, project_path and session_id is needed.' });

const change = z.object({
  id,
  state: z.string(),
  partial: z.boolean().describe('The turn did not complete.'),
  files: z.int().describe('How many.'),
  additions: z.int().nullable(),
  deletions: z.int().nullable(),
  base_commit: nullableText,
  result_commit: nullableText,
  builds_on: id.nullable().describe('The task of the same session whose change must be applied before this one.'),
});

// States are plain strings, because rows of an adopted table may have states of their own.
export const task = z
  .object({
    id,
    project_id: id.nullable(),
    project_name: nullableText,
    project_path: nullableText,
    input: z.string().describe('In lists its first 1000 characters.'),
    agent: nullableText,
    model: nullableText,
    mode_id: nullableText,
    thinking_option_id: nullableText,
    session_id: id.nullable(),
    chat_id: id.nullable(),
    state: z.string().describe('pending, running, completed, failed or cancelled; the last three are final.'),
    phase: z
      .string()
      .describe(
        'queued, preparing, starting, working, waiting_permission, waiting_limit, collecting or cleaning; after the end the final state.',
      ),
    error_code: nullableText,
    output_summary: nullableText,
    execution_path: nullableText,
    priority: z.int().nullable(),
    permission_policy: nullableText,
    permission_timeout_s: z.int().nullable(),
    permission_default: nullableText,
    cost_tokens: z.int().nullable(),
    run_id: nullableText,
    host: nullableText,
    kept_worktree: nullableText,
    waits_until: time.describe(
      "In phase waiting_limit: when the provider's usage limit is lifted and the task continues.",
    ),
    cancel_requested_at: time,
    cancel_reason: nullableText,
    created_at: time,
    started_at: time,
    ended_at: time,
    change: change.nullable(),
    ran: ran
      .nullable()
      .optional()
      .describe('The model, mode, thinking option and version that the agent reported. Absent in lists.'),
    warnings: z
      .array(z.string())
      .optional()
      .describe(
        'Warnings of the steps of the task, e.g. about ignored files that are not in the change, or about a worktree that was kept. Absent in lists.',
      ),
    workflow_id: z.string(),
    workflow_url: nullableText.describe(
      "URL of the run in Temporal's Web UI. Null if there is no Web UI, or if the history is no longer kept.",
    ),
    history_kept_until: time.describe(
      'The time until which Temporal keeps the history of the run. Null if the task has not ended, or if the time is not known.',
    ),
    actions: z.array(z.enum(TASK_ACTIONS)).describe('Operations that the task accepts now.'),
  })
  .meta({ id: 'Task' });

export const removedTask = z
  .object({
    task_id: id,
    session: z.enum(['none', 'kept', 'removed']).describe('removed if the session had no other task.'),
    kept_result: z
      .object({ ref: z.string(), commit: z.string(), project_path: nullableText })
      .nullable()
      .describe('The commit of the result, which stays in the mirror of the project. Null if the task left no result.'),
  })
  .meta({ id: 'RemovedTask' });

export const cancelled = z.object({
  outcome: z
    .enum(['cancelled', 'requested', 'recorded', 'already_ended'])
    .describe(
      'recorded: Temporal is unavailable, or the run is about to start; the request is stored and will be delivered.',
    ),
  task,
});

/** Returns a task's body with the number of changed files. The routes for changes list the files themselves. */
export function taskBody({ change, warnings = [], ...rest }: TaskDescription): z.output<typeof task> {
  return {
    ...rest,
    warnings: [...warnings],
    actions: [...rest.actions],
    change: change && { ...change, files: change.files.length },
  };
}
