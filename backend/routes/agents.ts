/** Agents that tasks may name. */
import { z } from 'zod';
import { listedAgents } from '../../client/agents.ts';
import type { Api, RouteDeps } from '../deps.ts';
import { nullableText, problems } from '../schemas.ts';

const agent = z
  .object({
    name: z.string(),
    supports_acp: z.boolean().nullable(),
    install_path: nullableText.describe('Null: the catalogue knows how to start it.'),
    listed_by: nullableText.describe('longhaul: a worker found it; user: a person added it; else some program.'),
  })
  .meta({ id: 'Agent' });

export function agentRoutes(api: Api, { longhaul }: RouteDeps): void {
  const list = {
    operationId: 'listAgents',
    summary: 'Agents, by name',
    tags: ['agents'],
    response: { 200: z.object({ items: z.array(agent) }), ...problems() },
  };
  api.get('/agents', { schema: list }, async () => ({ items: await listedAgents(longhaul.sql) }));
}
