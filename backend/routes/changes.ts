/** Routes that list changes (the results of tasks), show them, and apply, undo or reject them. */
import { CHANGE_STATES } from '../../contract/vocabulary.ts';
import { z } from 'zod';
import { actOnChange, type ChangeAction, rejectChange } from '../../client/change-actions.ts';
import { getChange, getChangePatch, listChanges } from '../../client/changes.ts';
import { WORKING_TREE } from '../../contract/change-actions.ts';
import type { ChangeId, ProjectId, SessionId, TaskId } from '../../contract/ids.ts';
import type { Api, RouteDeps } from '../deps.ts';
import { definedOf, id, idParams, nullableText, pageOf, pageQuery, problems, query, time } from '../schemas.ts';
import { ran } from './task-schemas.ts';

const facts = {
  id,
  task_id: id.nullable(),
  session_id: id.nullable(),
  project_id: id.nullable(),
  file_path: nullableText.describe('Path of the project.'),
  operation: nullableText,
  state: z.string(),
  partial: z.boolean().describe('The turn did not complete.'),
  additions: z.int().nullable(),
  deletions: z.int().nullable(),
  base_commit: nullableText,
  result_commit: nullableText,
  created_at: time,
  actions: z.array(z.string()).describe('Operations that the change accepts now.'),
};
const decision = z
  .object({
    id,
    change_id: id,
    kind: z.string().describe('apply, undo or reject.'),
    state: z.string().describe('requested, writing, taking_back, done or refused.'),
    target: z.string().describe('working_tree: the files of the checkout.'),
    by: z.string().describe('Which way the request came: cli or rest.'),
    requested_at: time,
    ended_at: time.describe('Null: it is being carried out.'),
    checkout: nullableText.describe('Top folder of the checkout; null until it is known.'),
    files: z
      .array(z.object({ path: z.string(), path_bytes: z.string().optional(), status: z.string() }))
      .describe('The files that it wrote: added, modified, deleted.'),
    error_code: nullableText.describe('Why it was refused.'),
    message: nullableText,
  })
  .meta({ id: 'ChangeAction' });
const provenance = z
  .object({
    prompt: nullableText.describe('The first 20,000 characters.'),
    agent: nullableText,
    execution_path: nullableText,
    model: nullableText.describe('As the task asked for it; `ran` has what the agent reported.'),
    mode: nullableText,
    thinking: nullableText,
    tokens: z.number().nullable(),
    attempts: z.int(),
    tool_calls: z.int(),
    permissions: z
      .array(z.object({ title: nullableText, state: z.string(), chosen: nullableText, answered_by: nullableText }))
      .describe('Permission requests and their answers, at most 100.'),
    duration_ms: z.number().nullable().describe('From the start of the task to its end.'),
  })
  .meta({ id: 'Provenance' });
const listed = z.object({ ...facts, files: z.int().describe('How many.') }).meta({ id: 'ListedChange' });
const change = z
  .object({
    ...facts,
    files: z
      .array(z.unknown())
      .describe(
        'The first 1000, or all with `files=all`. path, status, old_mode, new_mode; path_bytes (base64) where the path is not UTF-8. See docs/rest.md.',
      ),
    files_truncated: z.boolean().describe('True if there are more files: `files=all` shows them.'),
    files_total: z.int().describe('The number of files in the change.'),
    ignored_files: z.array(z.unknown()).describe('Files that git ignores: not in the change.'),
    provenance: provenance.nullable().describe('What its task asked for and took; null without a task.'),
    decisions: z.array(decision).describe('What was done with the change, oldest first.'),
    diff: z.string().describe('For reading; cut where it is very long. The patch is at /changes/{id}/patch.'),
    diff_truncated: z.boolean().describe('The diff was cut.'),
    ran: ran.nullable().describe('What its agent reported that it ran with.'),
  })
  .meta({ id: 'Change' });
const filter = query({
  ...pageQuery,
  state: z.enum(CHANGE_STATES).optional(),
  project_id: id.optional(),
  session_id: id.optional(),
  task_id: id.optional(),
});
/** The most files of a change in a response, about 200 KB, unless the caller requests all. */
const MAX_FILES = 1_000;
const tags = ['changes'];
const PATCH = 'application/octet-stream';

/**
 * The route waits this long for the end of the action, and then returns the action as it is. The limit is below the 10
 * s after which the backend ends every request.
 */
const WAIT_MS = 7_000;

const bodyOf = ({ files, ...rest }: ChangeAction): z.output<typeof decision> => ({
  ...rest,
  files: files.map((file) => ({ ...file })),
});

export function changeRoutes(api: Api, deps: RouteDeps): void {
  readRoutes(api, deps);
  actionRoutes(api, deps);
}

function actionRoutes(api: Api, { longhaul }: RouteDeps): void {
  const refusals = problems('missing', 'conflict', 'body', 'refused');
  for (const kind of ['apply', 'undo'] as const) {
    const schema = {
      operationId: `${kind}Change`,
      summary: kind === 'apply' ? "Merge a change into the project's checkout" : 'Take an applied change out again',
      description:
        'Files that do not merge: 409 change_conflict, which names them, and nothing is changed. 202: it is being carried out; the change has the result in its decisions. The same request, sent again, joins it.',
      tags,
      params: idParams,
      body: z
        .strictObject({
          target: z.literal(WORKING_TREE).optional().describe('Where to: working_tree (default), the files only.'),
        })
        .nullish(),
      response: { 200: decision, 202: decision, ...refusals },
    };
    api.post(`/changes/:id/${kind}`, { schema, config: { repeatable: true } }, async ({ params }, reply) => {
      const wanted = { changeId: params.id as ChangeId, kind, by: 'rest', waitMs: WAIT_MS };
      const action = bodyOf(await actOnChange(longhaul, wanted));
      return reply.code(action.ended_at === null ? 202 : 200).send(action);
    });
  }

  const reject = {
    operationId: 'rejectChange',
    summary: 'Record that a change is not wanted',
    tags,
    params: idParams,
    body: z.strictObject({}).nullish(),
    response: { 200: decision, ...refusals },
  };
  api.post('/changes/:id/reject', { schema: reject }, async ({ params }) =>
    bodyOf(await rejectChange(longhaul, params.id as ChangeId, 'rest')),
  );
}

function readRoutes(api: Api, { longhaul }: RouteDeps): void {
  const list = {
    operationId: 'listChanges',
    summary: 'Changes, newest first',
    tags,
    querystring: filter,
    response: { 200: pageOf(listed), ...problems() },
  };
  api.get('/changes', { schema: list }, async (request) => {
    const { limit, cursor, state, project_id, session_id, task_id } = request.query;
    const wanted = definedOf({
      state,
      projectId: project_id as ProjectId,
      sessionId: session_id as SessionId,
      taskId: task_id as TaskId,
    });
    const { items, next_cursor } = await listChanges(longhaul, wanted, { limit, ...definedOf({ cursor }) });
    return { items: items.map((one) => ({ ...one, actions: [...one.actions] })), next_cursor };
  });

  const show = {
    operationId: 'getChange',
    summary: 'One change, with its diff',
    tags,
    params: idParams,
    querystring: query({ files: z.enum(['all']).optional().describe('All files, however many there are.') }),
    response: { 200: change, ...problems('missing') },
  };
  api.get('/changes/:id', { schema: show }, async ({ params, query: { files: wanted } }) => {
    const most = wanted === 'all' ? Number.POSITIVE_INFINITY : MAX_FILES;
    const {
      files,
      ignored_files,
      actions,
      decisions,
      provenance: from,
      ...rest
    } = await getChange(longhaul, params.id as ChangeId, most);
    const lists = { files: [...files], ignored_files: [...ignored_files], actions: [...actions] };
    const origin = from && { ...from, permissions: [...from.permissions] };
    return { ...rest, ...lists, provenance: origin, decisions: decisions.map(bodyOf) };
  });

  const patch = {
    operationId: 'getChangePatch',
    summary: 'The patch of a change, for `git apply`: bytes as they are',
    tags,
    params: idParams,
    response: { 200: { description: 'The patch.', content: { [PATCH]: { schema: z.any() } } }, ...problems('missing') },
  };
  api.get('/changes/:id/patch', { schema: patch }, async ({ params }, reply) => {
    const bytes = await getChangePatch(longhaul, params.id as ChangeId);
    return reply.type(PATCH).send(bytes);
  });
}
