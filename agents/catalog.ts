/** The agents that Longhaul knows by name: how each is started and what of the environment it may see. */
import { createRequire } from 'node:module';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { LonghaulError } from '../contract/errors.ts';
import { findCommand } from './process/find-command.ts';

/** How to run one agent. */
export interface AgentProfile {
  readonly name: string;
  readonly kind: 'acp' | 'pty';
  /** Absolute path or a name looked up on PATH. */
  readonly command: string;
  readonly args: readonly string[];
  /** Names of variables passed on to the agent; a trailing `*` stands for any rest. */
  readonly envKeys: readonly string[];
  /** Variables set for the agent. */
  readonly env: Readonly<Record<string, string>>;
  /** Whether to offer the agent our file requests: gemini takes a new file for an error if we do. */
  readonly offersFileSystem: boolean;
  /** What the tokens that come with the end of a turn count. ACP's schema says `session`: "across all turns". */
  readonly usageOf: 'turn' | 'session';
  /** Said when the program is missing: what to install. */
  readonly installHint?: string;
  /** Said when it needs a login: how to give it one. */
  readonly loginHint?: string;
}

const BASE = {
  kind: 'acp',
  args: [],
  envKeys: [],
  env: {},
  offersFileSystem: true,
  usageOf: 'session',
} as const satisfies Partial<AgentProfile>;

/** From source it runs through tsx, as we do; from the build it is plain JavaScript. */
function demoArgs(): string[] {
  if (!import.meta.url.endsWith('.ts')) return [fileURLToPath(new URL('./demo/main.js', import.meta.url))];
  const loader = pathToFileURL(createRequire(import.meta.url).resolve('tsx')).href;
  return ['--import', loader, fileURLToPath(new URL('./demo/main.ts', import.meta.url))];
}

const CLOUD_KEYS = ['AWS_*', 'AZURE_*', 'GOOGLE_*'];
/** It talks to many providers; these are the keys that they read. */
const OPENCODE_KEYS = 'OPENCODE_* OPENAI_* ANTHROPIC_* GEMINI_* OPENROUTER_* GROQ_* MISTRAL_* DEEPSEEK_* XAI_*'.split(
  ' ',
);

/** Agents get their variables from the worker, and the worker its own at its start. */
const THEN_RESTART = 'A variable counts once `longhaul down` and `longhaul up -d` have been run where it is set.';

/** Keys are the names by which `available_agents` and tasks name an agent. */
export const CATALOG: Readonly<Record<string, AgentProfile>> = {
  demo: { ...BASE, usageOf: 'turn', name: 'demo', command: process.execPath, args: demoArgs() },
  opencode: {
    ...BASE,
    usageOf: 'turn',
    name: 'opencode',
    command: 'opencode',
    args: ['acp'],
    envKeys: [...OPENCODE_KEYS, ...CLOUD_KEYS],
    // An update in the middle of a task would change the agent under it.
    env: { OPENCODE_DISABLE_AUTOUPDATE: '1' },
    installHint: 'Install it with: npm install -g opencode-ai',
    loginHint:
      "Run `opencode auth login`, or set the provider's key (ANTHROPIC_API_KEY, OPENAI_API_KEY, …). " + THEN_RESTART,
  },
  codex: {
    ...BASE,
    usageOf: 'turn',
    name: 'codex',
    command: 'codex-acp',
    envKeys: ['CODEX_*', 'OPENAI_*', 'INITIAL_AGENT_MODE'],
    // Without a login of codex's own it takes a key from the environment only when it is asked to.
    env: { NO_BROWSER: '1', DEFAULT_AUTH_REQUEST: '{"methodId":"api-key"}' },
    installHint: 'Install it with: npm install -g @agentclientprotocol/codex-acp',
    loginHint: 'Set OPENAI_API_KEY, or log in with `npx @openai/codex login`. ' + THEN_RESTART,
  },
  gemini: {
    ...BASE,
    usageOf: 'turn',
    name: 'gemini',
    command: 'gemini',
    args: ['--acp', '--skip-trust'],
    envKeys: ['GEMINI_*', 'GOOGLE_*'],
    offersFileSystem: false,
    installHint: 'Install it with: npm install -g @google/gemini-cli',
    loginHint: 'Run `gemini` once and log in, or set GEMINI_API_KEY. ' + THEN_RESTART,
  },
  claude: {
    ...BASE,
    usageOf: 'turn',
    name: 'claude',
    command: 'claude-agent-acp',
    envKeys: ['ANTHROPIC_*', 'CLAUDE_*', 'CLOUD_ML_REGION', ...CLOUD_KEYS],
    installHint: 'Install it with: npm install -g @agentclientprotocol/claude-agent-acp',
    loginHint: 'Log in with `claude`, or set ANTHROPIC_API_KEY. ' + THEN_RESTART,
  },
};

/** Of an agent by its name, with whatever program it is started. */
export const usageOf = (name: string): AgentProfile['usageOf'] =>
  (Object.hasOwn(CATALOG, name) ? CATALOG[name] : undefined)?.usageOf ?? BASE.usageOf;

/** A row of `available_agents`. */
export interface ListedAgent {
  readonly name: string;
  readonly supportsAcp: boolean;
  /** A file, or a name on PATH; empty: what the catalogue says. */
  readonly installPath?: string | null;
}

/**
 * How to run a listed agent. One that the catalogue does not know is its install_path, run without
 * arguments. Fails with `agent_not_installed` if the program is not there.
 */
export function profileFor(agent: ListedAgent, env: NodeJS.ProcessEnv = process.env): AgentProfile {
  const known = Object.hasOwn(CATALOG, agent.name) ? CATALOG[agent.name] : undefined;
  const kind = agent.supportsAcp ? 'acp' : 'pty';
  const wanted = agent.installPath || known?.command || agent.name;
  const command = findCommand(wanted, env['PATH']);
  if (command === undefined) {
    const hint = known?.installHint ?? 'Install it, or correct install_path in available_agents.';
    const message = `The agent ${agent.name} is not installed: ${wanted} is not a program on this machine. ${hint}`;
    throw new LonghaulError('agent_not_installed', message);
  }
  const profile = known ?? { ...BASE, name: agent.name };
  // The catalogue's arguments ask for ACP.
  return { ...profile, kind, command, args: kind === 'acp' ? profile.args : [] };
}
