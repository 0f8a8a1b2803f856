/** Checks the agents: which are installed, and which rows of `available_agents` name a program that does not exist. */
import { readFile, realpath } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { parseModelId, readModelSettings } from '../../agents/native/providers.ts';
import { type AgentInfo, describeAgents, surveyAgents } from '../agents.ts';
import type { Sql } from '../../store/sql.ts';
import { type Check, ok, warning } from './check.ts';

const DEMO = 'demo';
const HOW_TO_INSTALL =
  'Install one, for example `npm install -g opencode-ai`, then `longhaul down && longhaul up -d`; `longhaul agents` lists the others.';

export interface AgentEnvironments {
  /** The worker's environment, which agents get. Undefined if no worker runs. */
  readonly worker: NodeJS.ProcessEnv | undefined;
  readonly shell: NodeJS.ProcessEnv;
  readonly settingsFile?: string;
}

/**
 * Checks the agents. If `sql` is undefined, the check says which agents are installed, but not whether they are listed.
 */
export async function checkAgents(
  sql: Sql | undefined,
  { worker, shell, settingsFile }: AgentEnvironments,
): Promise<Check[]> {
  const settings = settingsFile === undefined ? {} : { settingsFile };
  const paths = { worker: worker?.['PATH'], shell: shell['PATH'], environment: worker ?? shell, ...settings };
  const agents = sql ? await surveyAgents(sql, paths) : describeAgents([], [], paths);
  const found = agents.filter((agent) => agent.program !== null && agent.name !== DEMO);
  const shown = await Promise.all(found.map(async (agent) => ok(`agent ${agent.name}`, await foundText(agent))));
  const native = checkNativeOf({ worker, shell });
  const isNone = found.length === 0 && native.length === 0;
  const none = isNone
    ? [warning('agents', 'only the demo agent is installed, and it has no model', HOW_TO_INSTALL)]
    : [];
  return [...shown, ...native, ...none, ...agents.flatMap(troubleWith)];
}

function checkNativeOf({ worker, shell }: AgentEnvironments): Check[] {
  const found = checkNative(worker ?? shell);
  if (found.length > 0 || checkNative(shell).length === 0) return found;
  const advice = '`longhaul down && longhaul up -d` here takes this shell’s variables.';
  return [warning('agent native', 'this shell configures a model or provider, the running worker has none', advice)];
}

/**
 * Checks the native agent, which needs a provider. If a provider is configured, a task may name a model; a task that
 * names none gets DEFAULT_MODEL.
 */
function checkNative(env: NodeJS.ProcessEnv): Check[] {
  const { providers, defaultModel } = readModelSettings(env);
  const name = 'agent native';
  const names = providers.map((provider) => provider.name);
  const has =
    names.length === 0 ? 'no provider' : `${names.length === 1 ? 'provider' : 'providers'} ${names.join(', ')}`;
  if (defaultModel === undefined)
    return names.length === 0 ? [] : [ok(name, `${has}; DEFAULT_MODEL is not set: each task must name a model`)];
  const provider = parseModelId(defaultModel)?.provider;
  if (provider !== undefined && names.includes(provider)) return [ok(name, `model ${defaultModel}, ${has}`)];
  const advice = 'Set the variables of its provider (docs/agents.md), then `longhaul down && longhaul up -d`.';
  return [warning(name, `DEFAULT_MODEL is ${defaultModel}, and the environment has ${has} for it`, advice)];
}

async function foundText({ program, listed, removed }: AgentInfo): Promise<string> {
  const version = await packageVersionOf(program ?? '');
  const note = listed ? '' : removed ? ', removed from the list' : ', not listed (yet)';
  return `${program ?? ''}${version === undefined ? '' : ` ${version}`}${note}`;
}

function troubleWith({ name, listed, program, program_here: here, install_hint: hint }: AgentInfo): Check[] {
  if (here !== null) {
    const advice = `\`longhaul agents add ${name}\`, or \`longhaul down && longhaul up -d\` here.`;
    return [warning(`agent ${name}`, `${here} is on this shell's PATH, not on the worker's`, advice)];
  }
  if (!listed || program !== null) return [];
  const advice = hint ?? `\`longhaul agents remove ${name}\`, or add it again with its path.`;
  return [warning(`agent ${name}`, 'listed, but its program does not exist: its tasks fail', advice)];
}

/**
 * Returns the version of the npm package to which the program belongs. The program is not started for this, because
 * that may take seconds.
 */
async function packageVersionOf(program: string): Promise<string | undefined> {
  const real = await realpath(program).catch(() => program);
  for (let folder = dirname(real), up = 0; up < 4; folder = dirname(folder), up += 1) {
    const text = await readFile(join(folder, 'package.json'), 'utf8').catch(() => undefined);
    const version: unknown = text === undefined ? undefined : (JSON.parse(text) as { version?: unknown }).version;
    if (typeof version === 'string') return version;
  }
  return undefined;
}
