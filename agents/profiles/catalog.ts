/** The catalogue of agents by name: the program that speaks ACP, the variables that it gets, and the hints in error messages. */
import { moduleOfOurs, loaderArguments } from '../../processes/own-module.ts';
import type { AgentLaunch } from '../launch/launch.ts';

/** One agent. `AgentLaunch` describes the fields that it shares. */
export interface AgentProfile extends Pick<AgentLaunch, 'name' | 'envKeys' | 'env' | 'usageOf' | 'loginHint'> {
  /** How to start its program so that it speaks ACP. Absent: it does not speak ACP, or its `install_path` is such a program. */
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
/** The variables of opencode's many providers. */
const OPENCODE_KEYS = 'OPENCODE_* OPENAI_* ANTHROPIC_* GEMINI_* OPENROUTER_* GROQ_* MISTRAL_* DEEPSEEK_* XAI_*'.split(
  ' ',
);

/** An agent gets its variables from the worker, and the worker gets its own when it starts. */
const THEN_RESTART = 'To apply a variable, run `longhaul down` and `longhaul up -d` in a shell that has it set.';

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
    // An update during a task would change the agent while it runs.
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
    // Without its own login codex takes a key from the environment only if this request is set.
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

/** The profile of an agent. For an agent that is not in the catalogue it contains the name only. */
export function profileOf(name: string): AgentProfile {
  return knownProfile(name) ?? { ...BASE, name };
}

/** Undefined: the agent is not in the catalogue. */
export function knownProfile(name: string): AgentProfile | undefined {
  return Object.hasOwn(CATALOG, name) ? CATALOG[name] : undefined;
}
