/** `longhaul agents`: finds installed agents, and shows and changes the list of those that tasks may name. */
import { resolve } from 'node:path';
import type { Command } from 'commander';
import { addAgent } from '../maintenance/add-agent.ts';
import { readRegistryEntry } from '../maintenance/registry-entry.ts';
import { homePaths } from '../services/home/home.ts';
import { LonghaulError } from '../contract/errors.ts';
import {
  type AgentInfo,
  listFoundAgents,
  profilesOf,
  removeAgent,
  type SearchPaths,
  surveyAgents,
} from '../maintenance/agents.ts';
import type { AgentEntry } from '../client/agent-snapshots.ts';
import { workerEnvironment } from '../maintenance/worker-environment.ts';
import { agentOffers, OFFER_TITLES, offerCells } from './agent-offers.ts';
import { runCommand } from './exit.ts';
import { type CommandContext, withLonghaul } from './longhaul.ts';
import { type Cell, columnsText } from './table.ts';
import { harmless, type Paint, painter } from './terminal.ts';

interface JsonOption {
  readonly json?: boolean;
}

export const agentsAction = (options: JsonOption, command: Command): Promise<void> => {
  const [word] = command.args;
  if (word !== undefined)
    command.error(`error: unknown command '${word}': expected add, remove, show, refresh, enable, disable or nothing`);
  return runCommand(options, () => withLonghaul((context) => show(context, options)));
};

interface AddOptions extends JsonOption {
  readonly path?: string;
  readonly terminal?: boolean;
  readonly registry?: string;
  readonly args?: string;
  readonly env?: readonly string[];
}

export const agentsAddAction = (name: string, _options: unknown, command: Command): Promise<void> => {
  // `--json` may be before or after `add`.
  const options: AddOptions = command.optsWithGlobals();
  return runCommand(options, () =>
    withLonghaul(async (context) => {
      const { terminal = false } = options;
      const path = options.path === undefined ? undefined : resolve(options.path);
      const entry = await entryOf(name, { ...options, path });
      const profile = { name, terminal, ...(path === undefined ? {} : { path }), ...(entry && { entry }) };
      const paths = await pathsOf(context);
      const added = await addAgent(context.longhaul.sql, profile, paths);
      const how = added.talks === 'acp' ? '' : ' in a terminal';
      const where = entry ? `; its settings are in ${paths.settingsFile}` : '';
      print(options, added, `${name} is listed; tasks that name it run ${added.program}${how}${where}`);
    }),
  );
};

/** Returns the agent settings that the options give. Returns undefined if they give none. */
async function entryOf(name: string, { registry, path, args, env = [] }: AddOptions & { path: string | undefined }) {
  const known = registry === undefined ? undefined : await readRegistryEntry({ source: registry, name, path });
  if (known === undefined && args === undefined && env.length === 0) return undefined;
  const variables = Object.fromEntries(env.map(variableOf));
  return {
    ...known,
    ...(args !== undefined && { args: wordsOf(args) }),
    ...((known?.env ?? env.length > 0) && { env: { ...known?.env, ...variables } }),
  };
}

function variableOf(text: string): [string, string] {
  const at = text.indexOf('=');
  if (at > 0) return [text.slice(0, at), text.slice(at + 1)];
  throw new LonghaulError('invalid_input', `--env: expected NAME=VALUE, found ${JSON.stringify(text)}`);
}

/** Splits the text into words as a shell does. A word in quotes may contain spaces. */
function wordsOf(text: string): string[] {
  return (text.match(/(?:"[^"]*"|'[^']*'|[^\s"'])+/g) ?? []).map((word) =>
    word.replaceAll(/"([^"]*)"|'([^']*)'/g, '$1$2'),
  );
}

export const agentsRemoveAction = (name: string, _options: unknown, command: Command): Promise<void> => {
  const options: JsonOption = command.optsWithGlobals();
  return runCommand(options, () =>
    withLonghaul(async ({ longhaul }) => {
      const row = await removeAgent(longhaul.sql, name);
      print(
        options,
        { removed: row },
        `${name} is removed from the list; \`longhaul agents add ${name}\` adds it again`,
      );
    }),
  );
};

function print({ json }: JsonOption, value: unknown, sentence: string): void {
  process.stdout.write(`${json ? JSON.stringify(value) : sentence}\n`);
}

async function pathsOf({ services }: CommandContext): Promise<SearchPaths> {
  const worker = await workerEnvironment(services.settings);
  const settingsFile = homePaths(services.settings.home).agentSettings;
  return { worker: worker?.['PATH'], shell: process.env['PATH'], environment: worker ?? process.env, settingsFile };
}

async function show(context: CommandContext, { json }: JsonOption): Promise<void> {
  const { sql } = context.longhaul;
  const paths = await pathsOf(context);
  // The search uses the worker's PATH, which is unknown without a worker.
  const found =
    paths.worker === undefined
      ? { listed: [], unlisted: [] }
      : await listFoundAgents(sql, paths.worker, profilesOf(paths));
  const agents = await surveyAgents(sql, paths);
  const offers = await agentOffers(context.longhaul);
  if (json) {
    const all = agents.map((agent) => ({ ...offers.get(agent.name), ...agent }));
    process.stdout.write(`${JSON.stringify(all, undefined, 2)}\n`);
    return;
  }
  for (const name of found.listed) process.stdout.write(`${name} was found and added to the list\n`);
  for (const name of found.unlisted)
    process.stdout.write(`${name} was removed from the list: its program does not exist any more\n`);
  process.stdout.write(`${agentsText(agents, offers, painter(process.stdout))}\n`);
}

function agentsText(agents: readonly AgentInfo[], offers: ReadonlyMap<string, AgentEntry>, paint: Paint): string {
  const rows = agents.map((agent) => {
    if (agent.talks === 'native') return nativeRow(agent, offers.get(agent.name));
    const usable = agent.listed && agent.program !== null;
    return [
      { text: harmless(agent.name), style: usable ? ('bold' as const) : ('dim' as const) },
      { text: agent.talks },
      listedCell(agent),
      ...offerCells(offers.get(agent.name)),
      { text: harmless(agent.program ?? missingText(agent)), ...(agent.program ? {} : { style: 'dim' as const }) },
    ];
  });
  const notes = agents.filter((agent) => agent.program_here !== null).map(elsewhereText);
  return [columnsText(['AGENT', 'TALKS', 'LISTED', ...OFFER_TITLES, 'PROGRAM'], rows, paint), ...notes].join('\n');
}

function nativeRow({ name, model, install_hint: hint }: AgentInfo, offer: AgentEntry | undefined): Cell[] {
  const isConfigured = model !== null && model !== undefined;
  return [
    { text: name, style: isConfigured ? 'bold' : 'dim' },
    { text: 'native' },
    { text: 'built in', style: isConfigured ? 'green' : 'dim' },
    ...offerCells(offer),
    isConfigured ? { text: `model ${harmless(model)}` } : { text: `no model. ${harmless(hint ?? '')}`, style: 'dim' },
  ];
}

function listedCell(agent: AgentInfo) {
  if (!agent.listed) return { text: agent.removed ? 'removed' : 'no', style: 'dim' as const };
  const by = { longhaul: 'yes', user: 'by you' }[agent.listed_by ?? ''] ?? 'by a program';
  return { text: by, style: agent.program ? ('green' as const) : ('yellow' as const) };
}

const missingText = (agent: AgentInfo): string => agent.install_hint ?? 'not found; correct its path';

const elsewhereText = ({ name, program_here: program }: AgentInfo): string =>
  `! ${harmless(name)} is on this shell's PATH (${harmless(program ?? '')}), not on the worker's: ` +
  `\`longhaul agents add ${harmless(name)}\` adds it with its whole path, or \`longhaul down && longhaul up -d\` uses this PATH.`;
