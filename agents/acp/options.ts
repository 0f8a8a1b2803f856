/**
 * Sets model, mode and thinking through the agent's own options. Modes are reported in `modes`, in `configOptions`, or
 * in both. A model is a config option of category `model`, a thinking option one of category `thought_level`. Models
 * may also be reported in `models`, from an earlier version of ACP (gemini still does that).
 */
import { head } from '../../contract/cut-text.ts';
import type { SessionChoices } from '../driver.ts';
import { LonghaulError } from '../../contract/errors.ts';
import { isObject, type JsonObject } from './lines.ts';
import { cleanText } from './text.ts';

/**
 * Our own programs (native agent, terminal adapter) set this field in the `_meta` of an option to say that the option
 * accepts any value (`takesAny`).
 */
export const ANY_VALUE_FIELD = 'longhaul/any_value';
/** The field in the `_meta` of a mode that contains the mode's risk: safe, moderate, dangerous or planning. */
export const RISK_FIELD = 'longhaul/risk';
const LABEL_CHARS = 200;
const DESCRIPTION_CHARS = 1_000;

/** A value of a choice, as the agent describes it. */
export interface OfferedValue {
  readonly id: string;
  readonly label: string;
  readonly description: string;
  /** The risk in the agent's own words. Empty if the agent does not report it. */
  readonly risk: string;
}

export interface ConfigOption {
  readonly id: string;
  readonly name: string;
  readonly category: string;
  readonly type: 'select' | 'boolean';
  readonly current: string;
  /** The ids of the values. A boolean option has `true` and `false`. */
  readonly values: readonly string[];
  /** The same values with labels and descriptions. */
  readonly offered: readonly OfferedValue[];
  /** True if the agent accepts values that are not in the list. The agent's program checks them. */
  readonly takesAny: boolean;
}

interface Choice {
  readonly current: string;
  readonly available: readonly string[];
  /** The same values with labels and descriptions. */
  readonly offered: readonly OfferedValue[];
}

export interface SessionSettings {
  readonly modes: Choice | undefined;
  readonly models: Choice | undefined;
  readonly options: readonly ConfigOption[];
}

const string = (value: unknown): string => (typeof value === 'string' ? cleanText(value) : '');
const objects = (value: unknown): JsonObject[] => (Array.isArray(value) ? value.filter((one) => isObject(one)) : []);

function offeredValue(entry: JsonObject, idKey: string): OfferedValue {
  const id = string(entry[idKey]);
  const meta = isObject(entry['_meta']) ? entry['_meta'] : {};
  return {
    id,
    label: head(string(entry['name']), LABEL_CHARS) || id,
    description: head(string(entry['description']), DESCRIPTION_CHARS),
    risk: string(meta[RISK_FIELD]),
  };
}

/** Returns the values of a select, whose options may be in groups. */
function valuesOf(options: unknown): OfferedValue[] {
  return objects(options).flatMap((entry) =>
    Array.isArray(entry['options']) ? valuesOf(entry['options']) : [offeredValue(entry, 'value')],
  );
}

const BOOLEANS: readonly OfferedValue[] = ['true', 'false'].map((id) => ({ id, label: id, description: '', risk: '' }));

/**
 * Reads config options, such as the field `configOptions` of an answer. An option of another type than `boolean` counts
 * as a select.
 */
export function readOptions(value: unknown): ConfigOption[] {
  return objects(value).map((option) => {
    const type = option['type'] === 'boolean' ? 'boolean' : 'select';
    const id = string(option['id']);
    const offered = type === 'boolean' ? BOOLEANS : valuesOf(option['options']);
    return {
      id,
      name: string(option['name']) || id,
      category: string(option['category']),
      type,
      current: type === 'boolean' ? String(option['currentValue'] === true) : string(option['currentValue']),
      values: offered.map((value) => value.id),
      offered,
      takesAny: isObject(option['_meta']) && option['_meta'][ANY_VALUE_FIELD] === true,
    };
  });
}

function readChoice(value: unknown, names: { current: string; available: string; id: string }): Choice | undefined {
  if (!isObject(value)) return undefined;
  const offered = objects(value[names.available]).map((one) => offeredValue(one, names.id));
  return { current: string(value[names.current]), available: offered.map(({ id }) => id), offered };
}

/** Reads the settings from the answer to session/new, session/load or session/resume. */
export function readSessionSettings(response: unknown): SessionSettings {
  const body = isObject(response) ? response : {};
  return {
    modes: readChoice(body['modes'], { current: 'currentModeId', available: 'availableModes', id: 'id' }),
    models: readChoice(body['models'], { current: 'currentModelId', available: 'availableModels', id: 'modelId' }),
    options: readOptions(body['configOptions']),
  };
}

export type Setting =
  | { readonly kind: 'mode'; readonly modeId: string }
  | { readonly kind: 'model'; readonly modelId: string }
  | { readonly kind: 'option'; readonly configId: string; readonly value: string | boolean };

/** The ids by which an option is found in agents that give their options no category. */
const OPTION_IDS: Readonly<Record<'model' | 'mode' | 'thought_level', readonly string[]>> = {
  model: ['model'],
  mode: ['mode'],
  thought_level: ['thought_level', 'thinking', 'reasoning_effort', 'effort'],
};

/** Finds the option by its category, or by its usual id if no option has this category. */
export function findOption(
  options: readonly ConfigOption[],
  category: keyof typeof OPTION_IDS,
): ConfigOption | undefined {
  return (
    options.find((option) => option.category === category) ??
    options.find((option) => OPTION_IDS[category].includes(option.id))
  );
}

function notAvailable(what: string, wanted: string, offered: readonly string[]): LonghaulError {
  const shown = head(offered.join(', '), 1_000);
  const offers = offered.length === 0 ? `it offers no choice of ${what}` : `it offers ${shown}`;
  return new LonghaulError('option_not_available', `The agent does not offer the ${what} "${wanted}"; ${offers}.`);
}

function chooseOption(
  option: ConfigOption | undefined,
  what: string,
  wanted: string,
): Extract<Setting, { kind: 'option' }> | undefined {
  if (option === undefined || !(option.takesAny || option.values.includes(wanted)))
    throw notAvailable(what, wanted, option?.values ?? []);
  if (option.current === wanted) return undefined;
  return { kind: 'option', configId: option.id, value: option.type === 'boolean' ? wanted === 'true' : wanted };
}

/** Returns whether the wanted value must be set. Fails if the agent does not offer the value. */
function listed(choice: Choice, what: string, wanted: string): boolean {
  if (!choice.available.includes(wanted)) throw notAvailable(what, wanted, choice.available);
  return choice.current !== wanted;
}

/** The order in which choices are set. The model is first, because another model may have other thinking options. */
export const CHOICES = ['model', 'thinkingOptionId', 'modeId'] as const satisfies (keyof SessionChoices)[];

/**
 * Returns the request that sets this choice, or `undefined` if the agent has the value already. Fails with
 * `option_not_available`.
 */
export function settingFor(
  choice: (typeof CHOICES)[number],
  wanted: string,
  settings: SessionSettings,
): Setting | undefined {
  switch (choice) {
    case 'model': {
      const option = findOption(settings.options, 'model');
      const { models } = settings;
      if (option !== undefined || models === undefined) return chooseOption(option, 'model', wanted);
      return listed(models, 'model', wanted) ? { kind: 'model', modelId: wanted } : undefined;
    }
    case 'thinkingOptionId':
      return chooseOption(findOption(settings.options, 'thought_level'), 'thinking option', wanted);
    case 'modeId': {
      const { modes } = settings;
      if (modes === undefined) return chooseOption(findOption(settings.options, 'mode'), 'mode', wanted);
      return listed(modes, 'mode', wanted) ? { kind: 'mode', modeId: wanted } : undefined;
    }
  }
}
