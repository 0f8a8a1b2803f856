/** Changes: results of tasks, for review. */
import { CHANGE_STATES } from '../../contract/vocabulary.ts';
import { z } from 'zod';
import { getChange, getChangePatch, listChanges } from '../../client/changes.ts';
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

export function changeRoutes(api: Api, { longhaul }: RouteDeps): void {
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
    const { files, ignored_files, actions, ...rest } = await getChange(longhaul, params.id as ChangeId, most);
    return { ...rest, files: [...files], ignored_files: [...ignored_files], actions: [...actions] };
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
