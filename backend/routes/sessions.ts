/** Sessions: conversations on a project, with their timelines. */
import { z } from 'zod';
import { getSession, listSessions, type SessionTimeline } from '../../client/sessions.ts';
import type { ProjectId, SessionId } from '../../contract/ids.ts';
import type { Api, RouteDeps } from '../deps.ts';
import {
  definedOf,
  id,
  idParams,
  nullableText,
  pageLimit,
  pageOf,
  pageQuery,
  problems,
  query,
  text,
  time,
} from '../schemas.ts';
import { segment } from '../segment-schema.ts';

const seq = z.int().describe("Number of the log's last frame.");
const session = z.object({
  id,
  project_id: id.nullable(),
  name: nullableText,
  model: nullableText,
  status: nullableText,
});
const listed = session
  .extend({
    seq,
    open_tasks: z.int().describe('Tasks that wait or run.'),
    cost_tokens: z.int().nullable().describe('Tokens of all its tasks, as their agents reported them.'),
    created_at: time,
  })
  .meta({ id: 'ListedSession' });

const message = z.object({
  message_id: id,
  chat_id: id.nullable(),
  task_id: id.nullable(),
  role: z.string(),
  status: z.string(),
  content: z.string(),
  reasoning: z.string(),
  tool_calls: z.array(z.unknown()).describe('As in tool_call frames.'),
  plan: z.array(z.unknown()).nullable(),
  segments: z
    .array(segment)
    .nullable()
    .describe(
      'The parts of the message in the order of arrival. Null if the order is not stored (messages of users, old messages).',
    ),
  total_chars: z
    .int()
    .nullable()
    .describe('The number of UTF-16 units of text that arrived. More than content has if content was cut.'),
  tokens_used: z.int().nullable(),
  created_at: time,
  finished_at: time,
});
const sessionTask = z.object({
  task_id: id,
  agent: nullableText,
  state: z.string(),
  phase: z.string().describe('The phase of the task. After the end of the task, its final state.'),
  waits_until: time,
  error_code: nullableText,
  output_summary: nullableText,
  created_at: time,
  started_at: time,
  ended_at: time,
});
const sessionChange = z.object({
  change_id: id,
  task_id: id.nullable(),
  state: z.string(),
  files: z.int(),
  additions: z.int().nullable(),
  deletions: z.int().nullable(),
  partial: z.boolean(),
  builds_on: id.nullable().describe('The task of the same session whose change must be applied before this one.'),
});
const timeline = z
  .object({
    session,
    seq: seq.describe('The timeline is as of this frame: follow the log from there.'),
    at: z.string().meta({ format: 'date-time' }),
    messages: z
      .array(message)
      .describe('A page of messages, the oldest first. Without `before` it is the newest page.'),
    messages_before: nullableText.describe(
      'The value of `before` for the page of older messages. Null if there are none.',
    ),
    tasks: z.array(sessionTask).describe('The newest 100.'),
    tasks_truncated: z.boolean().describe('True if there are older tasks: GET /api/tasks?session_id= lists all.'),
    changes: z.array(sessionChange).describe('The newest 100 changes that wait for review.'),
    changes_truncated: z
      .boolean()
      .describe('True if there are older changes: GET /api/changes?state=pending&session_id= lists all.'),
    permissions: z.array(z.unknown()).describe('The requests that wait for an answer.'),
    commands: z.array(z.unknown()).describe("The agent's commands."),
    usage: z.unknown().describe('The tokens that the agent last reported. Null if it has reported none.'),
    queue: z.looseObject({ waiting: z.int() }).describe('As in queue frames: the waiting tasks in their order.'),
  })
  .meta({ id: 'Session' });
const tags = ['sessions'];
const timelineQuery = {
  limit: pageLimit(50).describe('The maximum number of messages. A page has fewer if they are large (2 MB a page).'),
  before: text(200)
    .optional()
    .describe('messages_before of an earlier response. The page has the messages before those of that response.'),
};

export function sessionRoutes(api: Api, { longhaul }: RouteDeps): void {
  const list = {
    operationId: 'listSessions',
    summary: 'Sessions, newest first',
    tags,
    querystring: query({ ...pageQuery, project_id: id.optional() }),
    response: { 200: pageOf(listed), ...problems() },
  };
  api.get('/sessions', { schema: list }, async ({ query: { limit, cursor, project_id } }) => {
    const filter = definedOf({ projectId: project_id as ProjectId });
    const { items, next_cursor } = await listSessions(longhaul, filter, { limit, ...definedOf({ cursor }) });
    return { items: [...items], next_cursor };
  });

  const show = {
    operationId: 'getSession',
    summary: 'One session, with its timeline: the newest page of its messages, or an older one',
    tags,
    params: idParams,
    querystring: query(timelineQuery),
    response: { 200: timeline, ...problems('missing') },
  };
  api.get('/sessions/:id', { schema: show }, async ({ params, query: { limit, before } }) =>
    mutable(await getSession(longhaul, params.id as SessionId, { limit, ...definedOf({ before }) })),
  );
}

function mutable({
  messages,
  tasks,
  changes,
  permissions,
  commands,
  queue,
  ...rest
}: SessionTimeline): z.output<typeof timeline> {
  return {
    ...rest,
    messages: messages.map(({ tool_calls, plan, segments, ...one }) => ({
      ...one,
      tool_calls: [...tool_calls],
      plan: plan && [...plan],
      segments: segments && ([...segments] as z.output<typeof segment>[]),
    })),
    tasks: [...tasks],
    changes: [...changes],
    permissions: [...permissions],
    commands: [...commands],
    queue: { ...queue },
  };
}
