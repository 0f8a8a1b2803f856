/** Permission requests: what agents ask of a person, and the answers. */
import { z } from 'zod';
import {
  answerPermission,
  getPermission,
  listPermissions,
  type Permission,
  PERMISSION_STATES,
} from '../../client/permissions.ts';
import type { PermissionId, SessionId, TaskId } from '../../contract/ids.ts';
import type { Api, RouteDeps } from '../deps.ts';
import { elicitation } from '../elicitation-schema.ts';
import { definedOf, id, idParams, nullableText, problems, query, text, time } from '../schemas.ts';

const permission = z
  .object({
    id,
    task_id: id,
    session_id: id,
    state: z.string().describe('pending, answered, delivered, expired, cancelled or superseded.'),
    kind: z.string().describe('tool, plan or elicitation.'),
    title: z.string().describe('The requested action, with the complete command if there is one.'),
    options: z.array(z.looseObject({ option_id: z.string(), name: z.string(), kind: z.string() })),
    tool_call: z.unknown().describe('The tool call that needs the permission, or null.'),
    elicitation: elicitation.nullable().describe('The form or the address, for the kind elicitation.'),
    content: z.unknown().describe('The answer to a form, by the names of its fields; otherwise null.'),
    chosen: nullableText.describe('Id of the option that was chosen.'),
    message: nullableText,
    answered_by: nullableText.describe('The channel of the answer, for example rest, cli or timeout.'),
    requested_at: time,
    answered_at: time,
    expires_at: time.describe(
      'The time at which default_option becomes the answer. Null if the request waits without limit.',
    ),
    default_option: nullableText,
  })
  .meta({ id: 'Permission' });
const tags = ['permissions'];

const bodyOf = ({
  options,
  tool_call: call,
  elicitation: asked,
  ...rest
}: Permission): z.output<typeof permission> => ({
  ...rest,
  elicitation: asked as z.output<typeof elicitation> | null,
  options: options.map((option) => ({ ...option })),
  tool_call: call ?? null,
});

export function permissionRoutes(api: Api, { longhaul }: RouteDeps): void {
  const list = {
    operationId: 'listPermissions',
    summary: 'Permission requests, oldest first',
    description: 'At most 500.',
    tags,
    querystring: query({
      state: z.enum(PERMISSION_STATES).optional(),
      task_id: id.optional(),
      session_id: id.optional(),
    }),
    response: { 200: z.object({ items: z.array(permission) }), ...problems() },
  };
  api.get('/permissions', { schema: list }, async ({ query: { state, task_id, session_id } }) => {
    const filter = definedOf({ state, taskId: task_id as TaskId, sessionId: session_id as SessionId });
    return { items: (await listPermissions(longhaul, filter)).map(bodyOf) };
  });

  const show = {
    operationId: 'getPermission',
    summary: 'One permission request',
    tags,
    params: idParams,
    response: { 200: permission, ...problems('missing') },
  };
  api.get('/permissions/:id', { schema: show }, async ({ params }) =>
    bodyOf(await getPermission(longhaul, params.id as PermissionId)),
  );

  const answer = {
    operationId: 'answerPermission',
    summary: 'Answer a permission request',
    description:
      'The first answer counts; a later one gets 409 with what was answered. Content that does not fit the form gets 422 with the wrong fields.',
    tags,
    params: idParams,
    body: z.strictObject({
      answer: text(200).describe(
        'The id of an offered option, or allow, deny or always; accept, decline or cancel for a form or an address.',
      ),
      message: text(10_000).optional().describe('Stored with the answer.'),
      content: z
        .record(z.string(), z.unknown())
        .optional()
        .describe('With accept to a form: the values by the names of the fields.'),
    }),
    response: { 200: permission, ...problems('missing', 'conflict', 'body', 'refused') },
  };
  api.post('/permissions/:id/answer', { schema: answer }, async ({ params, body }) => {
    const { message, content } = body;
    const given = {
      id: params.id as PermissionId,
      answer: body.answer,
      by: 'rest',
      ...definedOf({ message, content }),
    };
    return bodyOf(await answerPermission(longhaul, given));
  });
}
