/** Rules that answer permission requests before the task's policy. */
import { z } from 'zod';
import { addRule, listRules, removeRule, type Rule, type RuleTarget } from '../../client/permission-rules.ts';
import { LonghaulError } from '../../contract/errors.ts';
import type { ProjectId, RuleId, SessionId, TaskId } from '../../contract/ids.ts';
import { RULE_EFFECTS, RULE_SCOPES } from '../../contract/permission-rules.ts';
import type { Api, RouteDeps } from '../deps.ts';
import { definedOf, id, idParams, nullableText, problems, query, text, time } from '../schemas.ts';

const rule = z
  .object({
    id,
    scope: z.enum(RULE_SCOPES).describe('The scope: a task, a session or a project.'),
    effect: z.enum(RULE_EFFECTS),
    tool_kind: nullableText.describe('A kind of tool call, as in ACP. Null if the rule matches every kind.'),
    path_glob: nullableText.describe('Relative to the worktree. Null if the rule matches every path.'),
    command_pattern: nullableText.describe('Null: any.'),
    task_id: id.nullable(),
    session_id: id.nullable(),
    project_id: id.nullable(),
    permission_id: id.nullable().describe('The request whose answer "always" made the rule.'),
    created_at: time,
  })
  .meta({ id: 'PermissionRule' });

/** The fields of a rule, without the task, session or project to which it belongs. */
export const ruleWords = {
  effect: z.enum(RULE_EFFECTS),
  tool_kind: text(100).optional().describe('A kind of tool call, as in ACP: read, edit, execute, …'),
  path_glob: text(1_000).optional().describe('Relative to the worktree: * and ? in a name, ** for any folders.'),
  command_pattern: text(10_000).optional().describe('Shell words: * is any text, a last * any further words.'),
};

const place = { task_id: id.optional(), session_id: id.optional(), project_id: id.optional() };
const newRule = z
  .strictObject({
    ...place,
    ...ruleWords,
    first: z
      .boolean()
      .optional()
      .describe('True to compare the rule before all other rules of its task, session or project.'),
  })
  .meta({ id: 'NewPermissionRule' });
const tags = ['rules'];

type Place = { readonly [K in keyof typeof place]?: string | undefined };

/** Returns the task, session or project that the request names, or undefined if it names none. */
function placeOf({ task_id: task, session_id: session, project_id: project }: Place): RuleTarget | undefined {
  const named: RuleTarget[] = [
    ...(task === undefined ? [] : [{ taskId: task as TaskId }]),
    ...(session === undefined ? [] : [{ sessionId: session as SessionId }]),
    ...(project === undefined ? [] : [{ projectId: project as ProjectId }]),
  ];
  if (named.length < 2) return named[0];
  throw new LonghaulError('invalid_input', 'expected one of task_id, session_id and project_id, found several.');
}

const bodyOf = (one: Rule): z.output<typeof rule> => ({ ...one });

export function ruleRoutes(api: Api, { longhaul }: RouteDeps): void {
  const list = {
    operationId: 'listPermissionRules',
    summary: 'Rules that answer permission requests',
    description:
      'For a task, a session or a project: all rules that apply there, in the order in which they are compared. Else all rules, at most 500.',
    tags,
    querystring: query(place),
    response: { 200: z.object({ items: z.array(rule) }), ...problems() },
  };
  api.get('/rules', { schema: list }, async ({ query: named }) => ({
    items: (await listRules(longhaul, placeOf(named))).map(bodyOf),
  }));

  const add = {
    operationId: 'addPermissionRule',
    summary: 'Add a rule',
    description: 'The rule applies to requests from now on, also to those of running tasks.',
    tags,
    body: newRule,
    response: { 201: rule, ...problems('missing', 'body') },
  };
  api.post('/rules', { config: { repeatable: true }, schema: add }, async ({ body }, reply) => {
    const { effect, tool_kind, path_glob, command_pattern, first } = body;
    const named = placeOf(body);
    if (!named)
      throw new LonghaulError('invalid_input', 'expected one of task_id, session_id and project_id, found none.');
    const match = definedOf({ tool_kind, path_glob, command_pattern });
    const added = await addRule(longhaul, { place: named, effect, match, ...definedOf({ first }) });
    return reply.code(201).send(bodyOf(added));
  });

  const remove = {
    operationId: 'removePermissionRule',
    summary: 'Remove a rule',
    description: 'Responds with the rule that was removed.',
    tags,
    params: idParams,
    response: { 200: rule, ...problems('missing', 'body') },
  };
  api.delete('/rules/:id', { schema: remove }, async ({ params }) =>
    bodyOf(await removeRule(longhaul, params.id as RuleId)),
  );
}
