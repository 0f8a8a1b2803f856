/**
 * Converts `session/update` notifications to the driver's events. This module reads the raw JSON, because the SDK hides
 * kinds of updates that it does not know.
 */
import { head, PairJoiner, pieces } from '../../contract/cut-text.ts';
import type { AgentEvent, PlanEntry, Usage } from '../driver.ts';
import { isObject, type JsonObject } from './lines.ts';
import { readOptions, type ConfigOption, type SessionSettings } from './options.ts';
import { cleanText } from './text.ts';
import { blockText, type ToolCallLedger } from './tool-calls.ts';

/** Limit of one text event in characters. The event's JSON fits a frame even if every character is escaped. */
const TEXT_EVENT_LIMIT = 8 * 1024;
const NOTE_LIMIT = 1_000;
const LIST_LIMIT = 200;

const number = (value: unknown): number | undefined =>
  typeof value === 'number' && Number.isFinite(value) ? value : undefined;
/** Returns a count of tokens as rows store it: a whole number that is not negative, whatever the agent sends. */
const count = (value: unknown): number | undefined => {
  const tokens = number(value);
  return tokens !== undefined && tokens >= 0 && tokens <= Number.MAX_SAFE_INTEGER ? Math.round(tokens) : undefined;
};
const string = (value: unknown, fallback = ''): string =>
  typeof value === 'string' ? head(cleanText(value), NOTE_LIMIT) : fallback;
const list = (value: unknown): JsonObject[] =>
  Array.isArray(value) ? value.slice(0, LIST_LIMIT).filter((entry) => isObject(entry)) : [];

/** Removes fields that are undefined. */
function present<T extends object>(value: { [Key in keyof T]: T[Key] | undefined }): T {
  return Object.fromEntries(Object.entries(value).filter(([, inner]) => inner !== undefined)) as T;
}

function plan(entries: unknown): AgentEvent {
  const parsed = list(entries).map((entry): PlanEntry => ({
    content: string(entry['content']),
    priority: string(entry['priority'], 'medium'),
    status: string(entry['status'], 'pending'),
  }));
  return { kind: 'plan', entries: parsed };
}

function contextUsage(update: JsonObject): Usage {
  const cost = isObject(update['cost']) ? update['cost'] : {};
  const amount = number(cost['amount']);
  return present<Usage>({
    context_used: count(update['used']),
    context_size: count(update['size']),
    cost: amount === undefined ? undefined : { amount, currency: string(cost['currency'], 'USD') },
  });
}

/** Reads the token usage from the result of a prompt. */
export function turnUsage(value: unknown): Usage | undefined {
  if (!isObject(value)) return undefined;
  return present<Usage>({
    input_tokens: count(value['inputTokens']),
    output_tokens: count(value['outputTokens']),
    total_tokens: count(value['totalTokens']),
  });
}

/** Reads the tokens of a turn as gemini reports them: in `_meta.quota` of a result without `usage`. */
export function quotaUsage(meta: unknown): Usage | undefined {
  const quota = isObject(meta) && isObject(meta['quota']) ? meta['quota'] : {};
  const tokens = quota['token_count'];
  if (!isObject(tokens)) return undefined;
  const input = count(tokens['input_tokens']);
  const output = count(tokens['output_tokens']);
  return input === undefined && output === undefined
    ? undefined
    : present<Usage>({ input_tokens: input, output_tokens: output });
}

const note = (text: string): AgentEvent[] => (text === '' ? [] : [{ kind: 'note', text: head(text, NOTE_LIMIT) }]);

/** Holds the settings of the agent's session: as the agent last reported them, or as the driver last requested them. */
export interface SettingsHolder {
  settings: SessionSettings;
}

/**
 * Returns notes about options that the agent changed by itself. A change that the driver requested causes no note,
 * because the settings have the requested value before the agent reports it.
 */
function changedOptions(holder: SettingsHolder, options: readonly ConfigOption[]): AgentEvent[] {
  const known = holder.settings.options;
  holder.settings = { ...holder.settings, options };
  return options.flatMap((option) => {
    const before = known.find(({ id }) => id === option.id);
    return before === undefined || before.current === option.current ? [] : note(`${option.name}: ${option.current}`);
  });
}

function changedMode(holder: SettingsHolder, current: string): AgentEvent[] {
  const { modes } = holder.settings;
  if (current === '' || modes?.current === current) return [];
  holder.settings = { ...holder.settings, modes: { available: [], offered: [], ...modes, current } };
  return note(`Mode: ${current}`);
}

function notice(update: JsonObject): AgentEvent[] {
  const message = [string(update['title']), string(update['description'])].filter(Boolean).join(': ');
  const grave = update['severity'] === 'warning' || update['severity'] === 'error';
  if (message === '') return [];
  return grave ? [{ kind: 'warning', message }] : note(message);
}

/** Creates the joiners of split surrogate pairs: one for the agent's text, one for its reasoning. */
export const pairJoiners = () => ({ text: new PairJoiner(), reasoning: new PairJoiner() });
export type PairJoiners = ReturnType<typeof pairJoiners>;

function spoken(kind: keyof PairJoiners, update: JsonObject, streams: PairJoiners): AgentEvent[] {
  const block = update['content'];
  const id = string(update['messageId']);
  const of = id === '' ? {} : { messageId: id };
  const said = isObject(block) && block['type'] === 'text' ? block['text'] : undefined;
  const text = typeof said === 'string' ? cleanText(streams[kind].join(said)) : blockText(block);
  return [...pieces(text, TEXT_EVENT_LIMIT)].map((piece) => ({ kind, text: piece, ...of }));
}

/** Returns the hint about the arguments that the agent expects after a command's name. */
function hintOf(input: unknown): { argument_hint?: string } {
  const hint = isObject(input) ? string(input['hint']) : '';
  return hint === '' ? {} : { argument_hint: hint };
}

interface UpdateContext {
  readonly ledger: ToolCallLedger;
  readonly settings: SettingsHolder;
  readonly speech: PairJoiners;
  readonly replayed: boolean;
}

/** Returns the events for one update, or `undefined` if the kind of the update is unknown. */
export function eventsOf(
  update: JsonObject,
  { ledger, settings, speech, replayed }: UpdateContext,
): AgentEvent[] | undefined {
  switch (update['sessionUpdate']) {
    case 'user_message_chunk':
      return []; // our own prompt, echoed or replayed by the agent
    case 'agent_message_chunk':
      return spoken('text', update, speech);
    case 'agent_thought_chunk':
      return spoken('reasoning', update, speech);
    case 'tool_call':
    case 'tool_call_update': {
      const call = ledger.update(update, replayed);
      return call === undefined ? [] : [{ kind: 'tool_call', call }];
    }
    case 'plan':
      return [plan(update['entries'])];
    case 'plan_update': {
      const items = isObject(update['plan']) ? update['plan'] : update;
      return Array.isArray(items['entries']) ? [plan(items['entries'])] : [];
    }
    case 'plan_removed':
      return [plan([])];
    case 'available_commands_update': {
      const commands = list(update['availableCommands']).map((command) => ({
        name: string(command['name']),
        description: string(command['description']),
        ...hintOf(command['input']),
      }));
      return [{ kind: 'commands', commands }];
    }
    case 'current_mode_update':
      return changedMode(settings, string(update['currentModeId']));
    case 'config_option_update':
      return changedOptions(settings, readOptions(update['configOptions']));
    case 'session_info_update':
      return typeof update['title'] === 'string' ? note(`Title: ${string(update['title'])}`) : [];
    case 'usage_update':
      return [{ kind: 'usage', usage: contextUsage(update) }];
    case 'notice':
      return notice(update);
    default:
      return undefined;
  }
}
