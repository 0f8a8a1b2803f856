/** A session of the native agent: its journal, its settings and its models. */
import type { SessionConfigOption } from '@agentclientprotocol/sdk/unstable';
import { settingsOf } from './conversation.ts';
import type { Journal } from './journal.ts';
import { contextOf, type OfferedModel } from './model-list.ts';
import { canThink, type ModelId, type ModelSettings, parseModelId, THINKING, type Thinking } from './providers.ts';
import { isMode, type Mode, MODES } from './tools/tools.ts';

export interface SessionEnvironment {
  readonly settings: ModelSettings;
  readonly models: readonly OfferedModel[];
  /** True if the session has no working directory of a project, and therefore no tools. */
  readonly answersOnly: boolean;
  readonly maxSteps: number;
  readonly env: NodeJS.ProcessEnv;
}

export class NativeSession {
  readonly journal: Journal;
  readonly environment: SessionEnvironment;
  /** What a person has allowed until this process exits: all edits (`edit`), or exact commands. */
  readonly allowed = new Set<string>();

  constructor(journal: Journal, environment: SessionEnvironment) {
    this.journal = journal;
    this.environment = environment;
  }

  get mode(): Mode {
    const { mode } = settingsOf(this.journal.records);
    return isMode(mode) ? mode : 'code';
  }

  /** `provider/model`, or `undefined` if no model is configured. */
  get model(): string | undefined {
    const { models, settings } = this.environment;
    const chosen = settingsOf(this.journal.records).model;
    // A local server often has only one model, so the user need not name it.
    return chosen ?? settings.defaultModel ?? models.find(({ id }) => id.startsWith('local/'))?.id;
  }

  get modelId(): ModelId | undefined {
    return this.model === undefined ? undefined : parseModelId(this.model);
  }

  get thinking(): Thinking {
    const { thinking } = settingsOf(this.journal.records);
    return THINKING.find((one) => one === thinking) ?? 'off';
  }

  get contextTokens(): number {
    const { model, modelId } = this;
    return model === undefined || modelId === undefined
      ? 0
      : contextOf(this.environment.models, model, modelId.provider);
  }

  get modes() {
    return { currentModeId: this.mode, availableModes: MODES.map((mode) => ({ ...mode })) };
  }

  get options(): SessionConfigOption[] {
    const { model, modelId } = this;
    if (model === undefined) return [];
    const ids = this.environment.models.map(({ id }) => id);
    const offered = ids.includes(model) ? ids : [model, ...ids];
    const choose = (id: string, name: string, category: 'model' | 'thought_level', current: string, values: readonly string[]): SessionConfigOption => ({ id, name, category, type: 'select', currentValue: current, options: values.map((value) => ({ value, name: value })) }); // prettier-ignore
    return [
      choose('model', 'Model', 'model', model, offered),
      ...(modelId && canThink(modelId)
        ? [choose('thinking', 'Thinking', 'thought_level', this.thinking, THINKING)]
        : []),
    ];
  }

  setMode(mode: string): boolean {
    if (!isMode(mode)) return false;
    this.journal.append({ type: 'settings', mode });
    return true;
  }

  setOption(id: string, value: string): boolean {
    const option = this.options.find((one) => one.id === id);
    const values =
      option?.type === 'select' ? option.options.flatMap((one) => ('value' in one ? [one.value] : [])) : [];
    if (!values.includes(value)) return false;
    this.journal.append(id === 'model' ? { type: 'settings', model: value } : { type: 'settings', thinking: value });
    return true;
  }
}
