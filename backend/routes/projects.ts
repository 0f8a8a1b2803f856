/** Projects: git repositories on the host. */
import { z } from 'zod';
import { addProject, listProjects } from '../../client/projects.ts';
import type { Api, RouteDeps } from '../deps.ts';
import { definedOf, id, nullableText, pageOf, pageQuery, problems, query, text, time } from '../schemas.ts';

const project = z.object({ id, name: nullableText, path: nullableText, created_at: time }).meta({ id: 'Project' });
const newProject = z
  .strictObject({
    path: text(4_096).describe('Absolute; a folder in a git repository on the host.'),
    name: text(200).optional().describe("Default: the name of the repository's folder."),
  })
  .meta({ id: 'NewProject' });
const tags = ['projects'];

export function projectRoutes(api: Api, { longhaul, projectRoots }: RouteDeps): void {
  const add = {
    operationId: 'addProject',
    summary: 'Add a project',
    tags,
    body: newProject,
    response: {
      200: project.describe('The project existed before. It keeps its name.'),
      201: project.describe('Added.'),
      ...problems('body', 'refused'),
    },
  };
  api.post('/projects', { config: { repeatable: true }, schema: add }, async ({ body }, reply) => {
    const { path, name } = body;
    const { project: added, added: isNew } = await addProject(
      { sql: longhaul.sql, projectRoots },
      { path, ...definedOf({ name }) },
    );
    return reply.code(isNew ? 201 : 200).send(added);
  });

  const list = {
    operationId: 'listProjects',
    summary: 'Projects, newest first',
    tags,
    querystring: query(pageQuery),
    response: { 200: pageOf(project), ...problems() },
  };
  api.get('/projects', { schema: list }, async ({ query: { limit, cursor } }) => {
    const { items, next_cursor } = await listProjects(longhaul, { limit, ...definedOf({ cursor }) });
    return { items: [...items], next_cursor };
  });
}
