/**
 * The catalogue of agents by name: the program that speaks ACP, the variables that it gets, and the hints for error
 * messages.
 */
import { ownModulePath, loaderArguments } from '../../processes/own-module.ts';
import type { AgentLaunch } from '../launch/launch.ts';

/** The profile of one agent. `AgentLaunch` documents the fields that both have. */
export interface AgentProfile extends Pick<
  AgentLaunch,
  'name' | 'base' | 'label' | 'models' | 'envKeys' | 'env' | 'usageOf' | 'loginHint'
> {
  /**
   * How to start the agent's program so that it speaks ACP. `undefined` if the agent does not speak ACP, or if its
   * `install_path` already names a program that speaks ACP.
   */
  readonly acp?: AcpProgram | undefined;
  /** How to start the agent's program in a terminal. Only agents of the settings file have this field. */
  readonly terminal?: TerminalProgram | undefined;
}

export interface TerminalProgram {
  /** The name of the terminal profile with which the terminal adapter runs the program. */
  readonly profile: string;
  /** An absolute path, or a name that is searched on PATH. */
  readonly command: string;
  /**
   * The arguments that precede those of the terminal profile. If the adapter has no profile for the program, `{prompt}`
   * in an argument is replaced with the prompt.
   */
  readonly args: readonly string[];
}

export interface AcpProgram {
  /** Absolute path, or a name that is looked up on PATH. */
  readonly command: string;
  readonly args: readonly string[];
  readonly offersFileSystem: boolean;
  readonly installHint?: string;
}

/** The values for an agent that has no profile. */
export const BASE = { envKeys: [], env: {}, usageOf: 'session' } as const satisfies Partial<AgentProfile>;

const acp = (command: string, args: readonly string[], rest: Partial<AcpProgram> = {}): AcpProgram => ({
  command,
  args,
  offersFileSystem: true,
  ...rest,
});

const DEMO = ownModulePath('agents/demo/main');

const CLOUD_KEYS = ['AWS_*', 'AZURE_*', 'GOOGLE_*'];
/** The variables of the many providers that opencode supports. */
const OPENCODE_KEYS = 'OPENCODE_* OPENAI_* ANTHROPIC_* GEMINI_* OPENROUTER_* GROQ_* MISTRAL_* DEEPSEEK_* XAI_*'.split(
  ' ',
);

/**
 * Advice after a changed variable: an agent gets its variables from the worker, and the worker reads them only when it
 * starts.
 */
const THEN_RESTART = 'To apply a variable, run `longhaul down` and `longhaul up -d` in a shell that has it set.';

/** The keys are the names by which `available_agents` and tasks name an agent. */
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
    // Prevents an update during a task, because the update would change the agent while it runs.
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
    // Without a login of its own, codex takes a key from the environment only if DEFAULT_AUTH_REQUEST is set.
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
    acp: acp('claude-agent-acp', [], {
      installHint: 'Install it with: npm install -g @agentclientprotocol/claude-agent-acp',
    }),
    envKeys: ['ANTHROPIC_*', 'CLAUDE_*', 'CLOUD_ML_REGION', ...CLOUD_KEYS],
    loginHint: 'Log in with `claude`, or set ANTHROPIC_API_KEY. ' + THEN_RESTART,
  },
};

/** Returns `undefined` if the agent is not in the catalogue. */
export function knownProfile(name: string): AgentProfile | undefined {
  return Object.hasOwn(CATALOG, name) ? CATALOG[name] : undefined;
}
