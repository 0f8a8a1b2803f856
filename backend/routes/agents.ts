/** Agents that tasks may name, with what each offers. */
import { z } from 'zod';
import {
  type AgentEntry,
  diagnoseAgent,
  enableAgent,
  listAgentEntries,
  refreshAgent,
} from '../../client/agent-snapshots.ts';
import type { ProjectId } from '../../contract/ids.ts';
import type { Api, RouteDeps } from '../deps.ts';
import { id, nullableText, problems, query, text, time } from '../schemas.ts';

const thinkingOption = z.object({ id: z.string(), label: z.string(), is_default: z.boolean() });
const status = z.enum(['ready', 'loading', 'error', 'unavailable']);

const model = z.object({
  id: z.string(),
  label: z.string(),
  is_default: z.boolean(),
  thinking_options: z
    .array(thinkingOption)
    .nullable()
    .describe('Null if the thinking options of this model are not known.'),
});

const mode = z.object({
  id: z.string(),
  label: z.string(),
  description: z.string(),
  risk: z
    .enum(['safe', 'moderate', 'dangerous', 'planning'])
    .describe('The risk that the agent states, else the one that Longhaul knows for the mode, else moderate.'),
  is_default: z.boolean(),
});

const command = z.object({
  name: z.string(),
  description: z.string(),
  argument_hint: nullableText,
  source: z.enum(['agent', 'profile']),
});

const agent = z
  .object({
    name: z.string(),
    supports_acp: z.boolean().nullable().describe('Null for the native agent.'),
    install_path: nullableText.describe(
      'Path of the program. Null if the catalogue has the command that starts the agent.',
    ),
    listed_by: nullableText.describe(
      'longhaul if a worker found the agent, user if a user added it; any other value is of another program.',
    ),
    label: z.string(),
    status: status.describe('loading while a probe runs; the other fields are then from the previous probe.'),
    enabled: z.boolean().describe('False if no new task may name the agent.'),
    transport: z.enum(['acp', 'pty', 'native']),
    version: nullableText,
    install_hint: nullableText,
    auth: z.enum(['ok', 'required', 'unknown']),
    models: z.array(model),
    modes: z.array(mode),
    thinking_options: z
      .array(thinkingOption)
      .describe('The thinking options of an agent that offers no choice of models.'),
    commands: z.array(command),
    accepts_any: z
      .array(z.enum(['model', 'mode', 'thinking']))
      .describe('The choices that accept values which are not listed here. Only the agent can check such values.'),
    capabilities: z
      .object({
        resume: z.boolean().describe('Whether the agent says that it can resume a session.'),
        images: z.boolean(),
        login_methods: z.array(z.string()),
      })
      .nullable(),
    verified: z.object({
      resume: z
        .enum(['yes', 'no', 'unknown'])
        .describe(
          'Whether the agent loads its session after a kill, as a check of this version found. Unknown: not checked, and what the agent advertises counts.',
        ),
    }),
    error: nullableText.describe('Why the newest probe failed, and what to do.'),
    fetched_at: time.describe('The time at which a probe found the offer.'),
  })
  .meta({ id: 'Agent' });

const diagnostic = z
  .object({
    name: z.string(),
    status,
    error_code: nullableText,
    command: z.array(z.string()).describe('The command with which the agent was started. Empty if it was not started.'),
    exit_code: z.number().int().nullable(),
    signal: nullableText,
    stderr: z.string().describe('The end of what the agent printed outside the protocol.'),
    advice: z.string().describe('What happened, and what to do.'),
    finished_at: time,
  })
  .meta({ id: 'AgentDiagnostic' });

const ofProject = query({
  project_id: id
    .optional()
    .describe('What the agents offer in the folder of this project. Default: in an empty folder.'),
});
const nameParams = z.strictObject({ name: text(200) });
const projectOf = (given: { project_id?: string | undefined }): ProjectId | null =>
  (given.project_id as ProjectId | undefined) ?? null;
// The schema's type is mutable and `AgentEntry` is read-only. No code changes the lists of a response.
const sent = (entry: AgentEntry) => entry as z.input<typeof agent>;

export function agentRoutes(api: Api, { longhaul }: RouteDeps): void {
  const tags = ['agents'];
  const list = {
    operationId: 'listAgents',
    summary: 'Agents, by name, with what each offers',
    tags,
    querystring: ofProject,
    response: { 200: z.object({ items: z.array(agent) }), ...problems('missing') },
  };
  api.get('/agents', { schema: list }, async (request) => {
    const { entries, refreshed } = await listAgentEntries(longhaul, projectOf(request.query));
    // The probes run after the response: the next request finds their results.
    void refreshed().catch((err: unknown) => request.log.warn({ err }, 'stale agents were not probed'));
    return { items: entries.map(sent) };
  });

  const refresh = {
    operationId: 'refreshAgent',
    summary: 'Probe an agent now',
    tags,
    params: nameParams,
    querystring: ofProject,
    response: { 202: agent, ...problems('missing', 'body') },
  };
  api.post('/agents/:name/refresh', { config: { repeatable: true }, schema: refresh }, async (request, reply) => {
    const entry = await refreshAgent(longhaul, request.params.name, projectOf(request.query));
    return reply.code(202).send(sent(entry));
  });

  const diagnose = {
    operationId: 'getAgentDiagnostic',
    summary: 'How the newest probe of an agent ran, and what to do',
    tags,
    params: nameParams,
    querystring: ofProject,
    response: { 200: diagnostic, ...problems('missing') },
  };
  api.get('/agents/:name/diagnostic', { schema: diagnose }, async (request) => {
    const { command: words, ...rest } = await diagnoseAgent(
      longhaul.sql,
      request.params.name,
      projectOf(request.query),
    );
    return { ...rest, command: [...words] };
  });

  const change = {
    operationId: 'updateAgent',
    summary: 'Enable or disable an agent for new tasks',
    tags,
    params: nameParams,
    body: z.strictObject({ enabled: z.boolean() }).meta({ id: 'AgentChange' }),
    response: { 200: agent, ...problems('missing', 'body') },
  };
  api.patch('/agents/:name', { schema: change }, async (request) =>
    sent(await enableAgent(longhaul.sql, request.params.name, request.body.enabled)),
  );
}
