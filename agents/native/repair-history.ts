/**
 * Converts a conversation to a prompt that a model's API accepts. Pure: equal entries give equal prompts.
 *
 * Must never reach a model: a tool call without its result, or a result without its call; an assistant message that is
 * empty, failed or unfinished; two consecutive messages of one role; reasoning of another model; arguments that are not
 * a JSON object; an id that occurs twice. Providers answer such a history with 400, and they would answer every later
 * request of the session with 400, too.
 */
import type {
  JSONObject,
  LanguageModelV3Message,
  LanguageModelV3Prompt,
  LanguageModelV3ToolResultPart,
} from '@ai-sdk/provider';
import { head } from '../../contract/cut-text.ts';
import type { Entry } from './conversation.ts';
import type { ToolCall } from './records.ts';

export const INTERRUPTED = 'Interrupted: the outcome is unknown. Look at the working directory before you repeat it.';
const NO_BEGINNING = '(The beginning of this conversation is not available.)';
const CONTINUE = 'Continue.';
const NO_OUTPUT = '(no output)';
/** The longest function name that the tested providers accept, in characters. */
const NAME_CHARS = 64;

type Assistant = Extract<Entry, { kind: 'assistant' }>;
type Result = Extract<Entry, { kind: 'result' }>;

interface Answered {
  readonly call: ToolCall;
  readonly id: string;
  readonly result: Result | undefined;
}

type Message =
  | { readonly role: 'user'; readonly text: string }
  | { readonly role: 'assistant'; readonly entry: Assistant; readonly calls: readonly Answered[] };

/** Returns the prompt for `model`, a `provider/model`, without a system message. */
export function repairHistory(entries: readonly Entry[], model: string): LanguageModelV3Prompt {
  const messages = merge(complete(answer(entries)));
  const first: Message[] = messages[0]?.role === 'user' ? [] : [{ role: 'user', text: NO_BEGINNING }];
  const last = messages.at(-1);
  const after: Message[] =
    last?.role === 'assistant' && last.calls.length === 0 ? [{ role: 'user', text: CONTINUE }] : [];
  return [...first, ...messages, ...after].flatMap((message) => promptOf(message, model));
}

/** Assigns each call its result, at whatever position the result is, and a unique id. */
function answer(entries: readonly Entry[]): Message[] {
  const results = new Map<string, Result[]>();
  for (const entry of entries) {
    if (entry.kind === 'result') results.set(entry.call, [...(results.get(entry.call) ?? []), entry]);
  }
  const used = new Set<string>();
  const idFor = (wanted: string): string => {
    const plain = wanted.replaceAll(/[^a-zA-Z0-9_-]/g, '_') || 'call';
    let id = plain;
    for (let copy = 2; used.has(id); copy += 1) id = `${plain}_${copy}`;
    used.add(id);
    return id;
  };
  return entries.flatMap((entry): Message[] => {
    if (entry.kind === 'result') return [];
    if (entry.kind === 'user') return entry.text.trim() === '' ? [] : [{ role: 'user', text: entry.text }];
    // The agent did not act on a reply that failed, so the calls of the reply have no results.
    if (entry.state !== undefined) return [];
    const calls = entry.calls.map((call) => ({ call, id: idFor(call.id), result: results.get(call.id)?.shift() }));
    return [{ role: 'assistant', entry, calls }];
  });
}

/**
 * Removes calls without a result from the last message; in other messages such calls are answered as interrupted.
 * Removes empty messages.
 */
function complete(messages: readonly Message[]): Message[] {
  return messages.flatMap((message, index): Message[] => {
    if (message.role === 'user') return [message];
    const isLast = index === messages.length - 1;
    const calls = isLast ? message.calls.filter(({ result }) => result !== undefined) : message.calls;
    return calls.length === 0 && message.entry.text.trim() === '' ? [] : [{ ...message, calls }];
  });
}

function merge(messages: readonly Message[]): Message[] {
  const merged: Message[] = [];
  for (const message of messages) {
    const before = merged.at(-1);
    if (before?.role === 'user' && message.role === 'user') {
      merged[merged.length - 1] = { role: 'user', text: `${before.text}\n\n${message.text}` };
    } else if (before?.role === 'assistant' && before.calls.length === 0 && message.role === 'assistant') {
      // A merged reply has no reasoning, because reasoning belongs only to the reply that followed it.
      const text = [before.entry.text, message.entry.text].filter((one) => one.trim() !== '').join('\n\n');
      merged[merged.length - 1] = { ...message, entry: { ...message.entry, text, reasoning: [] } };
    } else {
      merged.push(message);
    }
  }
  return merged;
}

function promptOf(message: Message, model: string): LanguageModelV3Message[] {
  if (message.role === 'user') return [{ role: 'user', content: [{ type: 'text', text: plain(message.text) }] }];
  const { entry, calls } = message;
  const reasoning = entry.model === model ? entry.reasoning : [];
  // A model accepts neither the signatures nor the reasoning of another model.
  const optionsOf = ({ metadata }: { readonly metadata?: unknown }) =>
    metadata === undefined || entry.model !== model ? {} : { providerOptions: metadata as Record<string, JSONObject> };
  const said: LanguageModelV3Message = {
    role: 'assistant',
    content: [
      ...reasoning.map((one) => ({ type: 'reasoning' as const, text: plain(one.text), ...optionsOf(one) })),
      ...(entry.text.trim() === '' ? [] : [{ type: 'text' as const, text: plain(entry.text) }]),
      ...calls.map(({ call, id }) => ({
        type: 'tool-call' as const,
        toolCallId: id,
        toolName: nameOf(call),
        input: inputOf(call),
        ...optionsOf(call),
      })),
    ],
  };
  if (calls.length === 0) return [said];
  return [said, { role: 'tool', content: calls.map((one) => resultPart(one)) }];
}

function resultPart({ call, id, result }: Answered): LanguageModelV3ToolResultPart {
  const value = plain(result?.output ?? INTERRUPTED) || NO_OUTPUT;
  const type = result?.ok === true ? 'text' : 'error-text';
  return { type: 'tool-result', toolCallId: id, toolName: nameOf(call), output: { type, value } };
}

const nameOf = ({ name }: ToolCall): string =>
  head(name.replaceAll(/[^a-zA-Z0-9_-]/g, '_'), NAME_CHARS).replace(/^(?![a-zA-Z_])/, '_');

/** Replaces lone surrogates, because most servers refuse JSON that contains one. */
const plain = (text: string): string => text.toWellFormed();

function inputOf({ input }: ToolCall): JSONObject {
  const value = parseObject(input);
  return value ?? { invalid_arguments: plain(head(input, 500)) };
}

/**
 * Parses the arguments of a call. Returns `undefined` if they are not a JSON object. An empty text is parsed as an
 * empty object.
 */
export function parseObject(input: string): JSONObject | undefined {
  if (input.trim() === '') return {};
  try {
    const value: unknown = JSON.parse(input.toWellFormed());
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as JSONObject) : undefined;
  } catch {
    return undefined; // the caller reports the error to the model
  }
}
