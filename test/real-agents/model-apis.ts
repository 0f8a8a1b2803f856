/**
 * How three kinds of model API are asked and how they answer, as far as the agents under test use them: OpenAI's
 * chat completions (opencode), OpenAI's responses (codex) and Gemini.
 */
import type { Gate } from './fake-model.ts';

export type Json = Readonly<Record<string, unknown>>;

export type Reply =
  /** With `hold` the text streams and then nothing comes, not even the end, until the gate opens. */
  | { readonly kind: 'text'; readonly text: string; readonly hold?: Gate }
  | { readonly kind: 'call'; readonly tool: string; readonly input: Json }
  | { readonly kind: 'error'; readonly status: number; readonly message: string; readonly code?: string };
type Said = Exclude<Reply, { kind: 'error' }>;

export interface ApiRequest {
  /** Not for a title, a summary or a choice of model: agents ask for those beside the work, without tools. */
  readonly isWork: boolean;
  /** Roles of the conversation, in order. */
  readonly roles: readonly ('system' | 'user' | 'assistant' | 'tool')[];
}

export interface Api {
  model(path: string, body: Json): string;
  streams(path: string, body: Json): boolean;
  read(body: Json): ApiRequest;
  /** Events of a streamed answer: what says something, and what ends it. */
  stream(reply: Said): { readonly begin: string[]; readonly end: string[] };
  whole(reply: Said): string;
  error(reply: Extract<Reply, { kind: 'error' }>): string;
}

export function apiOf(path: string): Api | undefined {
  if (path.endsWith('/chat/completions')) return chat;
  if (path.endsWith('/responses')) return responses;
  return /:(streamGenerateContent|generateContent)\b/.test(path) ? gemini : undefined;
}

let calls = 0;
const callId = (): string => `call_${(calls += 1)}`;
const event = (data: unknown, name?: string): string =>
  `${name === undefined ? '' : `event: ${name}\n`}data: ${JSON.stringify(data)}\n\n`;
const list = (value: unknown): Json[] => (Array.isArray(value) ? (value as Json[]) : []);
/** As models stream: a few characters at a time. */
const words = (text: string): string[] => text.match(/\s*\S+\s*/g) ?? [];

const USAGE = { input: 1_000, output: 20 };

const chat: Api = {
  model: (_path, body) => String(body['model']),
  streams: (_path, body) => body['stream'] === true,
  read: (body) => ({
    isWork: list(body['tools']).length > 0,
    roles: list(body['messages']).map(({ role }) => role as 'user'),
  }),
  stream(reply) {
    const chunk = (delta: Json, finish: string | null = null): string =>
      event({
        id: 'chat',
        object: 'chat.completion.chunk',
        created: 0,
        model: 'm',
        choices: [{ index: 0, delta, finish_reason: finish }],
      });
    const usage = {
      prompt_tokens: USAGE.input,
      completion_tokens: USAGE.output,
      total_tokens: USAGE.input + USAGE.output,
    };
    const said =
      reply.kind === 'text'
        ? words(reply.text).map((word) => chunk({ role: 'assistant', content: word }))
        : [
            chunk({
              role: 'assistant',
              tool_calls: [
                {
                  index: 0,
                  id: callId(),
                  type: 'function',
                  function: { name: reply.tool, arguments: JSON.stringify(reply.input) },
                },
              ],
            }),
          ];
    const end = chunk({}, reply.kind === 'text' ? 'stop' : 'tool_calls');
    const total = event({ id: 'chat', object: 'chat.completion.chunk', created: 0, model: 'm', choices: [], usage });
    return { begin: said, end: [end, total, 'data: [DONE]\n\n'] };
  },
  whole: (reply) =>
    JSON.stringify({
      id: 'chat',
      object: 'chat.completion',
      choices: [
        {
          index: 0,
          finish_reason: 'stop',
          message: { role: 'assistant', content: reply.kind === 'text' ? reply.text : '' },
        },
      ],
    }),
  error: ({ message, code }) => JSON.stringify({ error: { message, type: code ?? 'error', code: code ?? null } }),
};

const ITEM_ROLES: Readonly<Record<string, ApiRequest['roles'][number]>> = {
  function_call: 'assistant',
  custom_tool_call: 'assistant',
  function_call_output: 'tool',
  custom_tool_call_output: 'tool',
};

const responses: Api = {
  model: (_path, body) => String(body['model']),
  streams: (_path, body) => body['stream'] === true,
  read: (body) => ({
    isWork: true,
    roles: list(body['input']).flatMap((item) => {
      const role = item['role'] === 'developer' ? 'system' : item['role'];
      return ITEM_ROLES[String(item['type'])] ?? (role === undefined ? [] : [role as 'user']);
    }),
  }),
  stream(reply) {
    const of = (type: string, data: Json): string => event({ type, ...data }, type);
    const done = of('response.completed', {
      response: {
        id: 'resp',
        usage: {
          input_tokens: USAGE.input,
          input_tokens_details: null,
          output_tokens: USAGE.output,
          output_tokens_details: null,
          total_tokens: USAGE.input + USAGE.output,
        },
      },
    });
    const created = of('response.created', { response: { id: 'resp' } });
    if (reply.kind === 'call') {
      const item = {
        type: 'function_call',
        call_id: callId(),
        name: reply.tool,
        arguments: JSON.stringify(reply.input),
      };
      return { begin: [created, of('response.output_item.done', { output_index: 0, item })], end: [done] };
    }
    const item = { type: 'message', id: 'msg', role: 'assistant' };
    return {
      begin: [
        created,
        of('response.output_item.added', { output_index: 0, item: { ...item, content: [] } }),
        ...words(reply.text).map((delta) =>
          of('response.output_text.delta', { item_id: 'msg', output_index: 0, content_index: 0, delta }),
        ),
      ],
      end: [
        of('response.output_item.done', {
          output_index: 0,
          item: { ...item, content: [{ type: 'output_text', text: reply.text }] },
        }),
        done,
      ],
    };
  },
  whole: (reply) => JSON.stringify({ id: 'resp', output: [], output_text: reply.kind === 'text' ? reply.text : '' }),
  error: (reply) => chat.error(reply),
};

const gemini: Api = {
  model: (path) => /models\/([^:/]+):/.exec(path)?.[1] ?? '',
  streams: (path) => path.includes(':streamGenerateContent'),
  read: (body) => ({
    isWork: list(body['tools']).length > 0,
    roles: list(body['contents']).map(({ role, parts }) =>
      role === 'model' ? 'assistant' : list(parts).some((part) => 'functionResponse' in part) ? 'tool' : 'user',
    ),
  }),
  stream(reply) {
    const parts: Json[] =
      reply.kind === 'text'
        ? words(reply.text).map((text) => ({ text }))
        : [{ functionCall: { name: reply.tool, args: reply.input } }];
    const candidate = (part: Json[], finish?: string): Json => ({
      candidates: [{ index: 0, content: { role: 'model', parts: part }, ...(finish ? { finishReason: finish } : {}) }],
    });
    const usageMetadata = {
      promptTokenCount: USAGE.input,
      candidatesTokenCount: USAGE.output,
      totalTokenCount: USAGE.input + USAGE.output,
    };
    return {
      begin: parts.map((part) => event(candidate([part]))),
      end: [event({ ...candidate([{ text: '' }], 'STOP'), usageMetadata })],
    };
  },
  whole: (reply) =>
    JSON.stringify({
      candidates: [
        {
          index: 0,
          finishReason: 'STOP',
          content: { role: 'model', parts: [{ text: reply.kind === 'text' ? reply.text : '' }] },
        },
      ],
    }),
  error: ({ status, message, code }) => JSON.stringify({ error: { code: status, message, status: code ?? 'ERROR' } }),
};
