/** What the tests must know of each agent: how to point it at the fake model, how it is asked, what it says. */
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import type { Reply } from './model-apis.ts';
import type { RealAgentName } from './packages.ts';

type Call = Extract<Reply, { kind: 'call' }>;
type Refusal = Extract<Reply, { kind: 'error' }>;

export interface RealAgent {
  readonly name: RealAgentName;
  /** Variables that a user would set in the shell that starts Longhaul. */
  env(at: { modelUrl: string; home: string }): Record<string, string>;
  /** The model's tool calls. Files are named from the worktree. */
  write(file: string, content: string): Call;
  shell(command: string): Call;
  /** How to have it ask before it writes: the task's mode, and the call. */
  readonly asks: { readonly modeId?: string; write(file: string, content: string): Call };
  /** A choice that differs from the default, and how the model's request shows that it was made. */
  readonly choices: {
    readonly task: { readonly model: string; readonly modeId: string; readonly thinkingOptionId?: string };
    readonly seen: { readonly model: string; readonly text: readonly RegExp[] };
    /** Ids that an error about an unknown one must list. */
    readonly models: readonly string[];
    readonly modes: readonly string[];
  };
  /** Of a turn with two requests to the model; each takes 1,000 tokens in and 20 out. */
  readonly turnTokens: number;
  readonly writeCall: { readonly kind: string; readonly title: RegExp };
  /** What becomes of a task whose agent was not allowed to write. */
  readonly denied: { readonly state: 'completed' | 'failed'; readonly code: string | null };
  /** What it writes into the user's repository, beside the worktree. */
  readonly leaves: readonly string[];
  /** Whether a killed session is always found again; gemini's is at times, and its turn starts over if not. */
  readonly alwaysResumes: boolean;
  /** Whether a shell tool lives on when its agent is killed. */
  readonly toolsOutlive: boolean;
  /** Answers of the provider after which the agent gives up at once or soon, and what a person is told. */
  readonly refusals: readonly (readonly [refusal: Refusal, code: string, told: RegExp])[];
  /** One that it tries again for minutes, without a word. */
  readonly retried: Refusal;
  readonly inTerminal: InTerminal;
}

/** What differs where its command-line program is run in a terminal. */
interface InTerminal {
  /** As `env` above, beside it: its settings differ from those of its ACP program. */
  env(at: { modelUrl: string; home: string }): Record<string, string>;
  /** As `choices`: the ids differ. */
  readonly choices: Pick<RealAgent['choices'], 'task' | 'seen'>;
  /** Whether a second task of the session knows the first. */
  readonly continues: boolean;
  /** A mode in which it runs commands; absent: each does. */
  readonly shellModeId?: string;
  /** It cannot ask here. Where it would have to, it may not write, and says so. */
  readonly denied: { readonly modeId?: string; readonly told: RegExp };
}

const refusal = (status: number, message: string, code?: string): Refusal => ({
  kind: 'error',
  status,
  message,
  ...(code === undefined ? {} : { code }),
});
const BAD_REQUEST = refusal(400, 'This model takes no images.', 'invalid_request_error');
const BAD_KEY = refusal(401, 'Incorrect API key provided: x.', 'invalid_api_key');
const OVERLOADED = refusal(500, 'The server had an error.', 'server_error');

const opencodeConfig = (modelUrl: string, more: object): string =>
  JSON.stringify({
    model: 'fake/m',
    small_model: 'fake/m',
    enabled_providers: ['fake'],
    ...more,
    provider: {
      fake: {
        npm: '@ai-sdk/openai-compatible',
        options: { baseURL: `${modelUrl}/v1`, apiKey: 'x' },
        models: {
          m: { name: 'm', limit: { context: 100_000, output: 8_000 } },
          n: {
            name: 'n',
            limit: { context: 100_000, output: 8_000 },
            reasoning: true,
            variants: { high: { reasoningEffort: 'high' } },
          },
        },
      },
    },
  });

const opencode: RealAgent = {
  name: 'opencode',
  env: ({ modelUrl }) => ({
    OPENCODE_CONFIG_CONTENT: opencodeConfig(modelUrl, { permission: { edit: 'ask', bash: 'allow' } }),
    // Where names cannot be resolved each of these costs seconds.
    OPENCODE_DISABLE_MODELS_FETCH: '1',
    OPENCODE_DISABLE_LSP_DOWNLOAD: '1',
    OPENCODE_DISABLE_DEFAULT_PLUGINS: '1',
    OPENCODE_DISABLE_SHARE: '1',
    OPENCODE_PURE: '1',
  }),
  write: (file, content) => ({ kind: 'call', tool: 'write', input: { filePath: file, content } }),
  shell: (command) => ({ kind: 'call', tool: 'bash', input: { command, description: 'Runs a command' } }),
  asks: { write: (file, content) => opencode.write(file, content) },
  choices: {
    task: { model: 'fake/n', modeId: 'plan', thinkingOptionId: 'high' },
    seen: { model: 'n', text: [/plan mode/i, /"reasoning_effort":"high"/] },
    models: ['fake/m', 'fake/n'],
    modes: ['build', 'plan'],
  },
  turnTokens: 1_020, // of the last request only
  writeCall: { kind: 'edit', title: /hello\.txt$/ },
  denied: { state: 'completed', code: null },
  leaves: ['.git/opencode'], // its id for the project
  alwaysResumes: true,
  toolsOutlive: true,
  refusals: [
    [BAD_REQUEST, 'llm_error', /opencode could not .*: This model takes no images\./],
    [BAD_KEY, 'agent_needs_login', /Incorrect API key provided: x\..*opencode auth login/],
    [refusal(402, 'Insufficient credits.'), 'usage_limit', /opencode has reached a limit .*: Insufficient credits\./],
  ],
  retried: refusal(429, 'You exceeded your current quota.', 'insufficient_quota'),
  inTerminal: {
    env: ({ modelUrl }) => ({
      OPENCODE_CONFIG_CONTENT: opencodeConfig(modelUrl, {
        permission: { edit: 'allow', bash: 'allow' },
        agent: { careful: { mode: 'primary', description: 'Asks', permission: { edit: 'ask' } } },
      }),
    }),
    choices: {
      task: { model: 'fake/n', modeId: 'plan', thinkingOptionId: 'high' },
      seen: { model: 'n', text: [/plan mode/i, /"reasoning_effort":"high"/] },
    },
    continues: false,
    denied: { modeId: 'careful', told: /permission requested: edit \(asked\.txt\); auto-rejecting/ },
  },
};

const codex: RealAgent = {
  name: 'codex',
  env: ({ modelUrl }) => ({
    CODEX_CONFIG: JSON.stringify({
      model: 'gpt-5.5',
      model_provider: 'fake',
      check_for_update_on_startup: false,
      model_providers: {
        fake: {
          name: 'fake',
          base_url: `${modelUrl}/v1`,
          wire_api: 'responses',
          requires_openai_auth: false,
          supports_websockets: false,
        },
      },
      features: { plugins: false, apps: false },
      analytics: { enabled: false },
      feedback: { enabled: false },
    }),
  }),
  write: (file, content) => codex.shell(`printf %s '${content}' > ${file}`),
  shell: (command) => ({ kind: 'call', tool: 'exec_command', input: { cmd: command } }),
  asks: {
    modeId: 'read-only',
    write: (file, content) => {
      const { kind, tool, input } = codex.write(file, content);
      const escalation = { sandbox_permissions: 'require_escalated', justification: 'It has to be written.' };
      return { kind, tool, input: { ...input, ...escalation } };
    },
  },
  choices: {
    task: { model: 'gpt-5.6-sol', modeId: 'read-only', thinkingOptionId: 'high' },
    seen: { model: 'gpt-5.6-sol', text: [/sandbox_mode` is `read-only/, /"effort":"high"/] },
    models: ['gpt-5.5', 'gpt-5.6-sol'],
    modes: ['read-only', 'workspace-write', 'agent', 'agent-full-access'],
  },
  turnTokens: 2_040,
  writeCall: { kind: 'execute', title: /printf .*hello\.txt$/ },
  denied: { state: 'failed', code: 'agent_refused' },
  leaves: [],
  alwaysResumes: true,
  toolsOutlive: false, // its sandbox dies with its parent
  refusals: [
    [BAD_REQUEST, 'llm_error', /codex could not .*: This model takes no images\./],
    [BAD_KEY, 'agent_needs_login', /Authentication required.*OPENAI_API_KEY/],
    [refusal(429, 'You exceeded your current quota.', 'insufficient_quota'), 'usage_limit', /Quota exceeded/],
  ],
  retried: OVERLOADED,
  inTerminal: {
    // CODEX_CONFIG is read by codex-acp only.
    env: ({ modelUrl, home }) => {
      const settings = [
        'model = "gpt-5.5"',
        'model_provider = "fake"',
        'check_for_update_on_startup = false',
        'features = { plugins = false, apps = false }',
        'analytics = { enabled = false }',
        'feedback = { enabled = false }',
        '[model_providers.fake]',
        'name = "fake"',
        `base_url = "${modelUrl}/v1"`,
        'wire_api = "responses"',
        'requires_openai_auth = false',
        'supports_websockets = false',
      ];
      mkdirSync(path.join(home, '.codex'), { recursive: true });
      writeFileSync(path.join(home, '.codex', 'config.toml'), `${settings.join('\n')}\n`);
      return {};
    },
    choices: {
      task: { model: 'gpt-5.6-sol', modeId: 'read-only', thinkingOptionId: 'high' },
      seen: { model: 'gpt-5.6-sol', text: [/sandbox_mode` is `read-only/, /"effort":"high"/] },
    },
    continues: true,
    denied: { modeId: 'read-only', told: /you cannot ask for escalated permissions/ },
  },
};

const gemini: RealAgent = {
  name: 'gemini',
  env: ({ modelUrl, home }) => {
    writeGeminiSettings(home, {});
    return { GEMINI_API_KEY: 'x', GOOGLE_GEMINI_BASE_URL: modelUrl };
  },
  write: (file, content) => ({ kind: 'call', tool: 'write_file', input: { file_path: file, content } }),
  shell: (command) => ({ kind: 'call', tool: 'run_shell_command', input: { command, description: 'Runs a command' } }),
  asks: { modeId: 'default', write: (file, content) => gemini.write(file, content) },
  choices: {
    task: { model: 'gemini-2.5-pro', modeId: 'plan' },
    seen: { model: 'gemini-2.5-pro', text: [/plan mode/i] },
    models: ['auto', 'gemini-2.5-pro'],
    modes: ['default', 'autoEdit', 'yolo', 'plan'],
  },
  turnTokens: 2_040,
  writeCall: { kind: 'edit', title: /Writing to hello\.txt/ },
  denied: { state: 'completed', code: null },
  leaves: [],
  alwaysResumes: false,
  toolsOutlive: true,
  refusals: [
    [BAD_REQUEST, 'llm_error', /gemini could not .*: This model takes no images\. \(400\)/],
    [
      refusal(400, 'API key not valid. Please pass a valid API key.', 'INVALID_ARGUMENT'),
      'agent_needs_login',
      /API key not valid.*GEMINI_API_KEY/,
    ],
    [
      refusal(402, 'Your billing account is closed.'),
      'usage_limit',
      /gemini has reached a limit .*: Your billing account/,
    ],
  ],
  retried: refusal(429, 'Resource has been exhausted.', 'RESOURCE_EXHAUSTED'),
  inTerminal: {
    // With GOOGLE_GEMINI_BASE_URL it takes a gateway for its way to log in, and refuses it.
    env: ({ home }) => {
      writeGeminiSettings(home, { security: { auth: { selectedType: 'gemini-api-key' } } });
      return {};
    },
    choices: {
      task: { model: 'gemini-2.5-pro', modeId: 'plan' },
      seen: { model: 'gemini-2.5-pro', text: [/plan mode/i] },
    },
    continues: true,
    shellModeId: 'yolo',
    denied: { modeId: 'default', told: /Tool "write_file" not found/ },
  },
};

function writeGeminiSettings(home: string, more: object): void {
  const settings = {
    general: { enableAutoUpdate: false },
    privacy: { usageStatisticsEnabled: false },
    telemetry: { enabled: false },
    ...more,
  };
  mkdirSync(path.join(home, '.gemini'), { recursive: true });
  writeFileSync(path.join(home, '.gemini', 'settings.json'), JSON.stringify(settings));
}

export const REAL_AGENTS = { opencode, codex, gemini } as const satisfies Record<RealAgentName, RealAgent>;
