/** What a model says, and how three kinds of API stream it. */
import { pieces } from '../../../contract/cut-text.ts';
import type { ApiName, Json } from './conversations.ts';

export interface Said {
  readonly think?: string;
  readonly say?: string;
  /** The text comes in one piece, where it is not long. */
  readonly whole?: boolean;
  /** An input that is a text is sent as it is: no JSON, perhaps. */
  readonly calls?: readonly { readonly tool: string; readonly input: Json | string; readonly id?: string }[];
  /** After thoughts and text nothing comes until it resolves. */
  readonly hold?: Promise<void>;
  /** `none`: the stream ends without a finish reason. `cut`: the connection is destroyed. */
  readonly end?: 'length' | 'refusal' | 'none' | 'cut';
  /** Of chat completions, which have two ways: the field `reasoning_content`, or tags in the text. */
  readonly thoughtsIn?: 'field' | 'tags';
}

export interface Refused {
  readonly status: number;
  readonly message: string;
  readonly code?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

export type Reply = Said | Refused;
export const isRefused = (reply: Reply): reply is Refused => 'status' in reply;

export const USAGE = { input: 100, output: 10 };

export interface Streamed {
  readonly begin: readonly string[];
  readonly end: readonly string[];
}

const LONG_CHARS = 10_000;
const LONG_PIECE_CHARS = 2_000;

let calls = 0;
const nextId = (): string => `call_${(calls += 1)}`;
const event = (data: unknown, name?: string): string =>
  `${name === undefined ? '' : `event: ${name}\n`}data: ${JSON.stringify(data)}\n\n`;
/** As models stream: a few characters at a time; a long text in larger pieces, so that a test of it is not slow. */
function words(text = '', whole = false): string[] {
  if (whole && text !== '' && text.length <= LONG_CHARS) return [text];
  return text.length > LONG_CHARS ? [...pieces(text, LONG_PIECE_CHARS)] : (text.match(/\s*\S+\s*/g) ?? []);
}
const raw = (input: Json | string): string => (typeof input === 'string' ? input : JSON.stringify(input));

function chat({ think, say, whole, calls = [], end, thoughtsIn = 'field' }: Said): Streamed {
  const of = (choices: readonly unknown[], more: Json = {}): string =>
    event({ id: 'chat', object: 'chat.completion.chunk', created: 0, model: 'm', choices, ...more });
  const chunk = (delta: Json, finish: string | null = null): string => of([{ index: 0, delta, finish_reason: finish }]);
  const isTagged = think !== undefined && thoughtsIn === 'tags';
  const spoken = isTagged ? `<think>${think}</think>\n\n${say ?? ''}` : say;
  const begin = [
    ...(isTagged ? [] : words(think).map((word) => chunk({ role: 'assistant', reasoning_content: word }))),
    ...words(spoken, whole).map((word) => chunk({ role: 'assistant', content: word })),
  ];
  const made = calls.map(
    ({ tool, input, id }, index) =>
    chunk({ role: 'assistant', tool_calls: [{ index, id: id ?? nextId(), type: 'function', function: { name: tool, arguments: raw(input) } }] }), // prettier-ignore
  );
  if (end === 'none' || end === 'cut') return { begin, end: made };
  const finish =
    end === 'length' ? 'length' : end === 'refusal' ? 'content_filter' : calls.length > 0 ? 'tool_calls' : 'stop';
  const usage = {
    prompt_tokens: USAGE.input,
    completion_tokens: USAGE.output,
    total_tokens: USAGE.input + USAGE.output,
  };
  return { begin, end: [...made, chunk({}, finish), of([], { usage }), 'data: [DONE]\n\n'] };
}

function anthropic({ think, say, whole, calls = [], end }: Said): Streamed {
  const of = (type: string, data: Json): string => event({ type, ...data }, type);
  let index = 0;
  const block = (start: Json, deltas: readonly Json[]): string[] => {
    const at = index;
    index += 1;
    return [
      of('content_block_start', { index: at, content_block: start }),
      ...deltas.map((delta) => of('content_block_delta', { index: at, delta })),
      of('content_block_stop', { index: at }),
    ];
  };
  const message = { id: 'msg', type: 'message', role: 'assistant', model: 'm', content: [], stop_reason: null, stop_sequence: null, usage: { input_tokens: USAGE.input, output_tokens: 1 } }; // prettier-ignore
  const begin = [
    of('message_start', { message }),
    ...(think === undefined ? [] : block({ type: 'thinking', thinking: '' }, [...words(think).map((thinking) => ({ type: 'thinking_delta', thinking })), { type: 'signature_delta', signature: 'sig' }])), // prettier-ignore
    ...(say === undefined ? [] : block({ type: 'text', text: '' }, words(say, whole).map((text) => ({ type: 'text_delta', text })))), // prettier-ignore
  ];
  const made = calls.flatMap(
    ({ tool, input, id }) =>
    block({ type: 'tool_use', id: id ?? nextId(), name: tool, input: {} }, [{ type: 'input_json_delta', partial_json: raw(input) }]), // prettier-ignore
  );
  if (end === 'none' || end === 'cut') return { begin, end: made };
  const reason =
    end === 'length' ? 'max_tokens' : end === 'refusal' ? 'refusal' : calls.length > 0 ? 'tool_use' : 'end_turn';
  const delta = { delta: { stop_reason: reason, stop_sequence: null }, usage: { output_tokens: USAGE.output } };
  return { begin, end: [...made, of('message_delta', delta), of('message_stop', {})] };
}

function google({ think, say, whole, calls = [], end }: Said): Streamed {
  const candidate = (parts: readonly Json[], finishReason?: string): Json => ({
    candidates: [{ index: 0, content: { role: 'model', parts }, ...(finishReason ? { finishReason } : {}) }],
  });
  const begin = [
    ...words(think).map((text) => event(candidate([{ text, thought: true }]))),
    ...words(say, whole).map((text) => event(candidate([{ text }]))),
  ];
  const made = calls.map(({ tool, input }) => {
    const args = typeof input === 'string' ? (JSON.parse(input) as Json) : input;
    return event(candidate([{ functionCall: { name: tool, args } }]));
  });
  if (end === 'none' || end === 'cut') return { begin, end: made };
  const reason = end === 'length' ? 'MAX_TOKENS' : end === 'refusal' ? 'SAFETY' : 'STOP';
  const usageMetadata = { promptTokenCount: USAGE.input, candidatesTokenCount: USAGE.output, totalTokenCount: USAGE.input + USAGE.output }; // prettier-ignore
  return { begin, end: [...made, event({ ...candidate([{ text: '' }], reason), usageMetadata })] };
}

const STREAMS: Readonly<Record<ApiName, (said: Said) => Streamed>> = { chat, anthropic, google };

export const streamOf = (api: ApiName, said: Said): Streamed => STREAMS[api](said);

export function errorBody(api: ApiName, { status, message, code }: Refused): string {
  switch (api) {
    case 'chat':
      return JSON.stringify({ error: { message, type: code ?? 'error', code: code ?? null } });
    case 'anthropic':
      return JSON.stringify({ type: 'error', error: { type: code ?? 'invalid_request_error', message } });
    case 'google':
      return JSON.stringify({ error: { code: status, message, status: code ?? 'INVALID_ARGUMENT' } });
  }
}
