/** Determines from an environment whether the native agent has a model, for lists and messages. Sends no request. */
import { HOW_TO_SET, parseModelId, readModelSettings } from './providers.ts';

export interface ConfiguredModel {
  readonly isConfigured: boolean;
  /**
   * `provider/model`. If it is `undefined` although a model is configured, the agent uses the first model that the
   * local server lists.
   */
  readonly model?: string;
  /** A sentence that says which variables the user must set; `undefined` if a model is configured. */
  readonly hint?: string;
}

const SET_BOTH = `Set DEFAULT_MODEL to provider/model, such as local/qwen3, and ${HOW_TO_SET.local}, or a provider's key`;

export function configuredModel(env: NodeJS.ProcessEnv): ConfiguredModel {
  const { defaultModel, providers } = readModelSettings(env);
  const has = (name: string): boolean => providers.some((one) => one.name === name);
  if (defaultModel === undefined)
    return has('local') ? { isConfigured: true } : { isConfigured: false, hint: SET_BOTH };
  const id = parseModelId(defaultModel);
  if (id === undefined) {
    const hint = `DEFAULT_MODEL: expected provider/model, such as local/qwen3, found ${JSON.stringify(defaultModel)}`;
    return { isConfigured: false, model: defaultModel, hint };
  }
  if (has(id.provider)) return { isConfigured: true, model: defaultModel };
  return { isConfigured: false, model: defaultModel, hint: `${defaultModel}: set ${HOW_TO_SET[id.provider]}` };
}

/** Returns the name of the model as lists show it. */
export const modelText = ({ model }: ConfiguredModel): string => model ?? 'the first model of the local server';
