/**
 * Configures and loads the providers that the native agent can use. They are configured by the variables that their own
 * tools read. The package of a provider is loaded only when it is used, because each package takes 100 to 200 ms to
 * load.
 */
import type { LanguageModelV3, SharedV3ProviderOptions } from '@ai-sdk/provider';

export const PROVIDERS = ['local', 'openai', 'anthropic', 'google'] as const;
export type ProviderName = (typeof PROVIDERS)[number];

export interface ProviderSettings {
  readonly name: ProviderName;
  /** The address with the path of the API's version, without a slash at the end. */
  readonly baseUrl: string;
  readonly key?: string;
}

export interface ModelSettings {
  readonly providers: readonly ProviderSettings[];
  /** `provider/model`. */
  readonly defaultModel?: string;
}

/** The setting that each provider needs, as the rest of a sentence that begins with `Set`. */
export const HOW_TO_SET: Readonly<Record<ProviderName, string>> = {
  local: 'LONGHAUL_LOCAL_MODEL_URL to the address of an OpenAI-compatible server, such as http://127.0.0.1:8080/v1',
  openai: 'OPENAI_API_KEY',
  anthropic: 'ANTHROPIC_API_KEY',
  google: 'GEMINI_API_KEY',
};

/** The variables that contain a key. Commands that the model runs do not get these variables. */
export const KEY_VARIABLES: readonly string[] = [
  'LONGHAUL_LOCAL_MODEL_KEY',
  'NATIVE_LOCAL_MODEL_KEY',
  'OPENAI_API_KEY',
  'ANTHROPIC_API_KEY',
  'GEMINI_API_KEY',
  'GOOGLE_GENERATIVE_AI_API_KEY',
  'GOOGLE_API_KEY',
];

type Env = Readonly<Record<string, string | undefined>>;

/** Reads the configured providers and the default model from the environment. Sends no request. */
export function readModelSettings(env: Env): ModelSettings {
  const value = (...names: string[]): string | undefined =>
    names.map((name) => env[name]?.trim()).find((one) => one !== undefined && one !== '');
  const providers: ProviderSettings[] = [];
  const add = (name: ProviderName, baseUrl: string | undefined, key: string | undefined): void => {
    if (baseUrl !== undefined) providers.push({ name, baseUrl: baseUrl.replace(/\/+$/, ''), ...(key ? { key } : {}) });
  };
  // An agent that Longhaul starts gets no variables named LONGHAUL_*, so the launcher passes these two under another
  // name.
  add(
    'local',
    value('LONGHAUL_LOCAL_MODEL_URL', 'NATIVE_LOCAL_MODEL_URL'),
    value('LONGHAUL_LOCAL_MODEL_KEY', 'NATIVE_LOCAL_MODEL_KEY'),
  );
  const openai = value('OPENAI_API_KEY');
  if (openai) add('openai', value('OPENAI_BASE_URL') ?? 'https://api.openai.com/v1', openai);
  const anthropic = value('ANTHROPIC_API_KEY');
  if (anthropic)
    add('anthropic', versioned(value('ANTHROPIC_BASE_URL') ?? 'https://api.anthropic.com', 'v1'), anthropic);
  const google = value('GEMINI_API_KEY', 'GOOGLE_GENERATIVE_AI_API_KEY', 'GOOGLE_API_KEY');
  const googleUrl = value('GOOGLE_GEMINI_BASE_URL') ?? 'https://generativelanguage.googleapis.com';
  if (google) add('google', versioned(googleUrl, 'v1beta'), google);
  const defaultModel = value('DEFAULT_MODEL');
  return { providers, ...(defaultModel ? { defaultModel } : {}) };
}

/**
 * Adds the path of the API's version to an address without one. Anthropic's and Google's own tools take the address
 * without the version.
 */
function versioned(url: string, version: string): string {
  const plain = url.replace(/\/+$/, '');
  return /\/v\d\w*$/.test(plain) ? plain : `${plain}/${version}`;
}

export interface ModelId {
  readonly provider: ProviderName;
  readonly model: string;
}

/** Returns `undefined` if the id names no known provider. */
export function parseModelId(id: string): ModelId | undefined {
  const slash = id.indexOf('/');
  const provider = PROVIDERS.find((name) => name === id.slice(0, slash));
  const model = id.slice(slash + 1);
  return provider === undefined || model === '' ? undefined : { provider, model };
}

/**
 * Loads the provider's package and returns the model. `fetch` replaces the global function in tests of the requests.
 */
export async function loadModel(
  { name, baseUrl: baseURL, key: apiKey }: ProviderSettings,
  model: string,
  fetch?: typeof globalThis.fetch,
): Promise<LanguageModelV3> {
  const options = { baseURL, ...(apiKey === undefined ? {} : { apiKey }), ...(fetch ? { fetch } : {}) };
  switch (name) {
    case 'local': {
      const { createOpenAICompatible } = await import('@ai-sdk/openai-compatible');
      return createOpenAICompatible({ ...options, name, includeUsage: true }).chatModel(model);
    }
    case 'openai':
      return (await import('@ai-sdk/openai')).createOpenAI(options).chat(model);
    case 'anthropic':
      return (await import('@ai-sdk/anthropic')).createAnthropic(options).languageModel(model);
    case 'google':
      return (await import('@ai-sdk/google')).createGoogleGenerativeAI(options).languageModel(model);
  }
}

/** The thinking options that the native agent offers for each model that can think. */
export const THINKING = ['off', 'low', 'high'] as const;
export type Thinking = (typeof THINKING)[number];

/** Returns whether the model is known to accept a thinking option. */
export function canThink({ provider, model }: ModelId): boolean {
  switch (provider) {
    case 'openai':
      return /^(o\d|gpt-[5-9])/.test(model);
    case 'anthropic':
      return !/claude-(2|3-(opus|sonnet|haiku|5))/.test(model);
    case 'google':
      return /gemini-(2\.5|[3-9])/.test(model);
    case 'local':
      return false;
  }
}

const BUDGETS: Readonly<Record<Thinking, number>> = { off: 0, low: 4_096, high: 16_384 };

/** Returns the request options for the thinking option; none if the model is not known to accept one. */
export function thinkingOptions(id: ModelId, thinking: Thinking): SharedV3ProviderOptions {
  if (!canThink(id)) return {};
  const budget = BUDGETS[thinking];
  switch (id.provider) {
    case 'openai':
      return { openai: { reasoningEffort: thinking === 'off' ? 'low' : thinking } };
    case 'anthropic':
      return thinking === 'off' ? {} : { anthropic: { thinking: { type: 'enabled', budgetTokens: budget } } };
    case 'google':
      return { google: { thinkingConfig: { includeThoughts: thinking !== 'off', thinkingBudget: thinking === 'off' ? 128 : budget } } }; // prettier-ignore
    case 'local':
      return {};
  }
}
