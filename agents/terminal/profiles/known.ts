/**
 * The command-line agents that the terminal adapter knows. `npm run test:agents` runs opencode 1.18.33, codex 0.166.0
 * and gemini-cli 0.61.0 in a terminal (test/real-agents/terminal.test.ts). Claude Code 2.1.197, qwen-code 0.15.10 and
 * aider 0.86.2 were run by hand against fake servers. The profile of goose follows its documentation and was not run.
 *
 * A prompt that begins with a dash must not be read as an option, so the prompt follows `--`, is a part of
 * `--option=prompt`, or is in a file.
 */
import { dirname, join } from 'node:path';
import { option, type Choice, type TerminalProfile } from './profile.ts';
import { AIDER, GOOSE, YES_NO } from './questions.ts';

const choice = (ids: readonly string[], rest: Omit<Choice, 'values'> = {}): Choice => ({
  values: ids.map((id) => ({ id })),
  ...rest,
});
const ANY: Choice = { values: [], any: true };

const opencode: TerminalProfile = {
  name: 'opencode',
  command: 'opencode',
  installHint: 'Install it with: npm install -g opencode-ai',
  arguments: ({ prompt, model, mode, thinking }) => [
    'run',
    ...option('--model', model),
    ...option('--agent', mode),
    ...option('--variant', thinking),
    '--',
    prompt,
  ],
  models: ANY,
  modes: choice(['build', 'plan'], { any: true }),
  thinking: ANY,
};

const codex: TerminalProfile = {
  name: 'codex',
  command: 'codex',
  installHint: 'Install it with: npm install -g @openai/codex',
  arguments: ({ prompt, model, mode, thinking, conversation }) => [
    'exec',
    ...option('--sandbox', mode),
    ...option('--model', model),
    ...option('--config', thinking && `model_reasoning_effort="${thinking}"`),
    ...(conversation?.begun ? ['resume', conversation.id] : []),
    '--',
    prompt,
  ],
  models: ANY,
  // codex's own default is read-only, and `codex exec` cannot ask for permission.
  modes: choice(['read-only', 'workspace-write', 'danger-full-access'], { default: 'workspace-write' }),
  thinking: choice(['minimal', 'low', 'medium', 'high', 'xhigh']),
  resume: {
    id: /^session id: ([0-9a-f][0-9a-f-]{35})$/m,
    lost: /no rollout found|session not found|no saved session|not found with id/i,
  },
};

const gemini: TerminalProfile = {
  name: 'gemini',
  command: 'gemini',
  installHint: 'Install it with: npm install -g @google/gemini-cli',
  arguments: ({ prompt, model, mode, conversation }) => [
    '--skip-trust',
    ...option('--model', model),
    ...option('--approval-mode', mode),
    ...option(conversation?.begun ? '--resume' : '--session-id', conversation?.id),
    `--prompt=${prompt}`,
  ],
  models: ANY,
  // gemini cannot ask for permission here, and its own default has no tool that edits. Only `yolo` has the tool that
  // runs commands.
  modes: choice(['default', 'auto_edit', 'yolo', 'plan'], { default: 'auto_edit' }),
  exits: { 41: 'needs_login', 53: 'turn_limit', 130: 'cancelled' },
  // gemini exits with code 42 if the conversation is lost.
  resume: { id: 'ours', lost: /Error resuming session/ },
};

const claude: TerminalProfile = {
  name: 'claude',
  command: 'claude',
  installHint: 'Install it with: npm install -g @anthropic-ai/claude-code',
  arguments: ({ prompt, model, mode, thinking, conversation }) => [
    '--print',
    ...option('--model', model),
    ...option('--permission-mode', mode),
    ...option('--effort', thinking),
    ...option(conversation?.begun ? '--resume' : '--session-id', conversation?.id),
    '--',
    prompt,
  ],
  models: choice(['sonnet', 'opus', 'haiku'], { any: true }),
  // claude cannot ask for permission here, and in its own default it would refuse each edit.
  modes: choice(['default', 'acceptEdits', 'plan', 'auto', 'dontAsk', 'bypassPermissions'], { default: 'acceptEdits' }),
  thinking: choice(['low', 'medium', 'high', 'xhigh', 'max']),
  exits: { 130: 'cancelled' },
  resume: { id: 'ours', lost: /no conversation found/i },
};

const qwen: TerminalProfile = {
  name: 'qwen',
  command: 'qwen',
  arguments: ({ prompt, model, mode, conversation }) => [
    ...option('--model', model),
    ...option('--approval-mode', mode),
    ...option(conversation?.begun ? '--resume' : '--session-id', conversation?.id),
    `--prompt=${prompt}`,
  ],
  models: ANY,
  // qwen cannot ask for permission here. Only `yolo` has the tool that runs commands.
  modes: choice(['plan', 'default', 'auto-edit', 'yolo'], { default: 'auto-edit' }),
  exits: { 41: 'needs_login', 53: 'turn_limit', 130: 'cancelled' },
  resume: { id: 'ours', lost: /no saved session found/i },
  envKeys: ['QWEN_*', 'OPENAI_*', 'DASHSCOPE_*', 'GEMINI_*'],
  installHint: 'Install it with: npm install -g @qwen-code/qwen-code',
  loginHint: 'Run `qwen` once and log in, or set OPENAI_API_KEY.',
};

/** Moves aider's history files out of the working directory, where they would become a part of the change. */
const historyFiles = (folder: string): string[] => [
  '--chat-history-file',
  join(folder, 'chat.md'),
  '--input-history-file',
  join(folder, 'input'),
];

const aider: TerminalProfile = {
  name: 'aider',
  command: 'aider',
  arguments: ({ promptFile, model, mode, thinking }) => [
    '--no-auto-commits',
    '--no-gitignore',
    '--no-check-update',
    '--no-show-release-notes',
    '--no-analytics',
    // Without this option aider asks, for a model that it does not know, whether to open a page of its documentation.
    '--no-show-model-warnings',
    ...historyFiles(dirname(promptFile())),
    ...option('--model', model),
    // aider's default is the mode `code`, which the option does not accept.
    ...option('--chat-mode', mode === 'code' ? undefined : mode),
    ...option('--reasoning-effort', thinking),
    '--message-file',
    promptFile(),
  ],
  models: ANY,
  modes: choice(['code', 'architect', 'ask']),
  thinking: choice(['low', 'medium', 'high']),
  questions: [...AIDER, ...YES_NO],
  // aider's index of the repository. No option moves it.
  leaves: ['.aider.tags.cache.v4'],
  // aider exits with code 0 after a failed request to the provider.
  fails: /litellm\.\w+(?:Error|Exception)\b[^\n]*(?:\n[^\n]*){0,3}$/,
  envKeys: ['AIDER_*', 'OPENAI_*', 'ANTHROPIC_*', 'GEMINI_*', 'OPENROUTER_*', 'DEEPSEEK_*', 'OLLAMA_*'],
  installHint: 'Install it with: python -m pip install aider-install && aider-install',
  loginHint: "Set the provider's key (OPENAI_API_KEY, ANTHROPIC_API_KEY, …).",
};

const goose: TerminalProfile = {
  name: 'goose',
  command: 'goose',
  arguments: ({ promptFile, conversation }) => [
    'run',
    ...option('--name', conversation?.id),
    ...(conversation?.begun ? ['--resume'] : []),
    '--instructions',
    promptFile(),
  ],
  environment: ({ model, mode }) => ({
    ...(model === undefined ? {} : { GOOSE_MODEL: model }),
    ...(mode === undefined ? {} : { GOOSE_MODE: mode }),
  }),
  models: ANY,
  modes: choice(['auto', 'approve', 'smart_approve', 'chat']),
  questions: [...GOOSE, ...YES_NO],
  resume: { id: 'ours', lost: /no session found|session .* not found|could not find session/i },
  envKeys: ['GOOSE_*', 'OPENAI_*', 'ANTHROPIC_*', 'GOOGLE_*', 'OPENROUTER_*', 'OLLAMA_*', 'DATABRICKS_*'],
  installHint: 'Install it as its documentation says (https://block.github.io/goose).',
  loginHint: 'Run `goose configure` once.',
};

const KNOWN = { opencode, codex, gemini, claude, qwen, aider, goose } as const satisfies Record<
  string,
  TerminalProfile
>;

/**
 * Returns the profile of an unknown program, which gets the prompt as its only argument. A prompt that begins with a
 * dash gets a space in front, so that it is not read as an option.
 */
const unknown = (name: string): TerminalProfile => ({
  name,
  command: name,
  arguments: ({ prompt }) => [prompt.startsWith('-') ? ` ${prompt}` : prompt],
});

/** Returns the profile of an agent, or the profile of an unknown program if the adapter does not know the agent. */
export function terminalProfile(name: string): TerminalProfile {
  return isKnownTerminal(name) ? KNOWN[name] : unknown(name);
}

export const isKnownTerminal = (name: string): name is keyof typeof KNOWN => Object.hasOwn(KNOWN, name);

/** Returns the questions of the profile, or the common yes/no questions if the profile names none. */
export const questionsOf = (profile: TerminalProfile) => profile.questions ?? YES_NO;
