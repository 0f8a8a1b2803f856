/** Lists the models that the configured providers offer, with their context sizes. A list is stored for ten minutes. */
import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ModelSettings, ProviderName, ProviderSettings } from './providers.ts';

export interface OfferedModel {
  /** `provider/model`. */
  readonly id: string;
  readonly contextTokens?: number;
}

/**
 * How long the agent waits for a provider's list. If the provider does not respond in this time, the next session asks
 * the provider again.
 */
const LIST_TIMEOUT_MS = 2_000;
const FRESH_MS = 10 * 60 * 1000;
/**
 * The context size, in tokens, of a model whose provider does not report it. A local server usually reports it; if it
 * does not, a small context is assumed.
 */
const DEFAULT_CONTEXT: Readonly<Record<ProviderName, number>> = {
  local: 32_768,
  openai: 128_000,
  anthropic: 200_000,
  google: 1_000_000,
};

/** Returns the context size of the model in tokens: as the provider reports it, otherwise an assumed size. */
export function contextOf(models: readonly OfferedModel[], id: string, provider: ProviderName): number {
  return models.find((model) => model.id === id)?.contextTokens ?? DEFAULT_CONTEXT[provider];
}

/** Returns the offered models. The default model is first if no provider lists it. Never fails. */
export async function offeredModels(
  { providers, defaultModel }: ModelSettings,
  folder: string,
): Promise<OfferedModel[]> {
  const lists = await Promise.all(providers.map((provider) => listed(provider, folder)));
  const models = lists.flat();
  if (defaultModel === undefined || models.some(({ id }) => id === defaultModel)) return models;
  return [{ id: defaultModel }, ...models];
}

interface Stored {
  readonly at: number;
  readonly models: readonly OfferedModel[];
}

async function listed(provider: ProviderSettings, folder: string): Promise<readonly OfferedModel[]> {
  const name = createHash('sha256')
    .update(`${provider.name} ${provider.baseUrl} ${provider.key ?? ''}`)
    .digest('hex');
  const file = join(folder, `models-${name.slice(0, 16)}.json`);
  const stored = readStored(file);
  if (stored && Date.now() - stored.at < FRESH_MS) return stored.models;
  // If the provider does not answer, its stored list is used. If there is no stored list either, only the default model
  // is offered.
  const models = await ask(provider).catch(() => undefined);
  if (models === undefined) return stored?.models ?? [];
  store(file, { at: Date.now(), models });
  return models;
}

function readStored(file: string): Stored | undefined {
  try {
    return JSON.parse(readFileSync(file, 'utf8')) as Stored;
  } catch {
    return undefined; // the file is absent or damaged, so the provider is asked again
  }
}

function store(file: string, stored: Stored): void {
  try {
    mkdirSync(join(file, '..'), { recursive: true, mode: 0o700 });
    writeFileSync(`${file}.${process.pid}`, JSON.stringify(stored), { mode: 0o600 });
    renameSync(`${file}.${process.pid}`, file);
  } catch {
    // The disk is full, for example. The next session asks for the list again.
  }
}

type Json = Readonly<Record<string, unknown>>;

const number = (...values: unknown[]): number | undefined =>
  values.find((value): value is number => typeof value === 'number' && value > 0);
const objects = (value: unknown): Json[] => (Array.isArray(value) ? (value as Json[]) : []);

async function ask({ name, baseUrl, key }: ProviderSettings): Promise<OfferedModel[]> {
  const headers: Record<string, string> =
    key === undefined
      ? {}
      : name === 'anthropic'
        ? { 'x-api-key': key, 'anthropic-version': '2023-06-01' }
        : name === 'google'
          ? { 'x-goog-api-key': key }
          : { authorization: `Bearer ${key}` };
  const query = name === 'anthropic' ? '?limit=1000' : name === 'google' ? '?pageSize=1000' : '';
  const response = await fetch(`${baseUrl}/models${query}`, { headers, signal: AbortSignal.timeout(LIST_TIMEOUT_MS) });
  if (!response.ok) throw new Error(`${baseUrl}/models answered ${response.status}`);
  return readModels(name, (await response.json()) as Json);
}

/** Converts a provider's answer to models. Exported for its test. */
export function readModels(provider: ProviderName, body: Json): OfferedModel[] {
  const offered = (id: unknown, contextTokens: number | undefined): OfferedModel[] =>
    typeof id === 'string' && id !== ''
      ? [{ id: `${provider}/${id}`, ...(contextTokens ? { contextTokens } : {}) }]
      : [];
  if (provider === 'google') {
    return objects(body['models'])
      .filter((model) => (model['supportedGenerationMethods'] as unknown[] | undefined)?.includes('generateContent'))
      .flatMap((model) => offered(String(model['name']).replace(/^models\//, ''), number(model['inputTokenLimit'])));
  }
  const models = objects(body['data']).flatMap((model) => {
    // The servers name the context size differently. The fields are those of vLLM, of OpenRouter and LM Studio, and of
    // llama.cpp, in this order.
    const meta = (model['meta'] ?? {}) as Json;
    const context = number(model['max_model_len'], model['context_length'], model['max_context_length'], meta['n_ctx']); // prettier-ignore
    return offered(model['id'], context);
  });
  return provider === 'openai' ? models.filter(({ id }) => /^openai\/(gpt-|o\d|chatgpt-)/.test(id)) : models;
}
