/** What Longhaul knows of agents, by name: which program speaks ACP, what of the environment it may see, what to say if it fails. */
import { moduleOfOurs, loaderArguments } from '../../processes/own-module.ts';
import type { AgentLaunch } from '../launch/launch.ts';

/** One agent. The fields that are not described here are those of `AgentLaunch`. */
export interface AgentProfile extends Pick<AgentLaunch, 'name' | 'envKeys' | 'env' | 'usageOf' | 'loginHint'> {
  /** How its program is started to speak ACP. Absent: it does not, or its `install_path` says how. */
  readonly acp?: AcpProgram;
}

export interface AcpProgram {
  /** Absolute path, or a name looked up on PATH. */
  readonly command: string;
  readonly args: readonly string[];
  readonly offersFileSystem: boolean;
  readonly installHint?: string;
}

const BASE = { envKeys: [], env: {}, usageOf: 'session' } as const satisfies Partial<AgentProfile>;

const acp = (command: string, args: readonly string[], rest: Partial<AcpProgram> = {}): AcpProgram => ({
  command,
  args,
  offersFileSystem: true,
  ...rest,
});

const DEMO = moduleOfOurs('agents/demo/main');

const CLOUD_KEYS = ['AWS_*', 'AZURE_*', 'GOOGLE_*'];
/** opencode talks to many providers; these are the keys that they read. */
const OPENCODE_KEYS = 'OPENCODE_* OPENAI_* ANTHROPIC_* GEMINI_* OPENROUTER_* GROQ_* MISTRAL_* DEEPSEEK_* XAI_*'.split(
  ' ',
);

/** Agents get their variables from the worker, and the worker gets its own when it starts. */
const THEN_RESTART = 'A variable counts once `longhaul down` and `longhaul up -d` have been run where it is set.';

/** Keys are the names by which `available_agents` and tasks name an agent. */
export const CATALOG: Readonly<Record<string, AgentProfile>> = {
  demo: {
    ...BASE,
    usageOf: 'turn',
    name: 'demo',
    acp: acp(process.execPath, [...loaderArguments(DEMO), DEMO]),
  },
  opencode: {
    ...BASE,
    usageOf: 'turn',
    name: 'opencode',
    acp: acp('opencode', ['acp'], { installHint: 'Install it with: npm install -g opencode-ai' }),
    envKeys: [...OPENCODE_KEYS, ...CLOUD_KEYS],
    // An update in the middle of a task would change the agent under it.
    env: { OPENCODE_DISABLE_AUTOUPDATE: '1' },
    loginHint:
      "Run `opencode auth login`, or set the provider's key (ANTHROPIC_API_KEY, OPENAI_API_KEY, …). " + THEN_RESTART,
  },
  codex: {
    ...BASE,
    usageOf: 'turn',
    name: 'codex',
    acp: acp('codex-acp', [], { installHint: 'Install it with: npm install -g @agentclientprotocol/codex-acp' }),
    envKeys: ['CODEX_*', 'OPENAI_*', 'INITIAL_AGENT_MODE'],
    // Without a login of codex's own it takes a key from the environment only when it is asked to.
    env: { NO_BROWSER: '1', DEFAULT_AUTH_REQUEST: '{"methodId":"api-key"}' },
    loginHint: 'Set OPENAI_API_KEY, or log in with `npx @openai/codex login`. ' + THEN_RESTART,
  },
  gemini: {
    ...BASE,
    usageOf: 'turn',
    name: 'gemini',
    acp: acp('gemini', ['--acp', '--skip-trust'], {
      offersFileSystem: false,
      installHint: 'Install it with: npm install -g @google/gemini-cli',
    }),
    envKeys: ['GEMINI_*', 'GOOGLE_*'],
    loginHint: 'Run `gemini` once and log in, or set GEMINI_API_KEY. ' + THEN_RESTART,
  },
  claude: {
    ...BASE,
    usageOf: 'turn',
    name: 'claude',
    acp: acp('claude-agent-acp', [], {}),
    envKeys: ['ANTHROPIC_*', 'CLAUDE_*', 'CLOUD_ML_REGION', ...CLOUD_KEYS],
    loginHint: 'Log in with `claude`, or set ANTHROPIC_API_KEY. ' + THEN_RESTART,
  },
};

/** Of an agent that the catalogue does not know: nothing beyond its name. */
export function profileOf(name: string): AgentProfile {
  return knownProfile(name) ?? { ...BASE, name };
}

/** Undefined: the catalogue does not know the agent. */
export function knownProfile(name: string): AgentProfile | undefined {
  return Object.hasOwn(CATALOG, name) ? CATALOG[name] : undefined;
}
