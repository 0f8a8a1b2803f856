/**
 * Model APIs without a model: OpenAI's chat completions, Anthropic's messages and Google's generateContent on one port.
 * The test decides each answer and sees every request. A conversation that breaks a rule of the providers is answered with
 * 400, as they do.
 */
import { once } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { LoopbackServer, repliesInOrder } from '../loopback-server.ts';
import { type ApiName, type Asked, type Json, readAsked } from './conversations.ts';
import { brokenRules, thoughtOf } from './history-rules.ts';
import { errorBody, isRefused, type Reply, streamOf } from './replies.ts';

export interface ModelRequest extends Asked {
  readonly api: ApiName;
  readonly body: Json;
  readonly broken: readonly string[];
  /** The whole reply was sent. */
  answered: boolean;
}

export type Answer = (request: ModelRequest) => Reply | Promise<Reply>;

export const inOrder = (...replies: Reply[]): Answer =>
  repliesInOrder(replies, ({ messages }) => JSON.stringify(messages.at(-1)));

const API_PATHS: readonly (readonly [RegExp, ApiName])[] = [
  [/\/chat\/completions$/, 'chat'],
  [/\/messages$/, 'anthropic'],
  [/:streamGenerateContent\b/, 'google'],
];

const MODELS: Json = {
  data: [
    { id: 'm', object: 'model', max_model_len: 50_000 },
    { id: 'n', object: 'model' },
  ],
  models: [
    { name: 'models/gemini-2.5-flash', supportedGenerationMethods: ['generateContent'], inputTokenLimit: 90_000 },
  ],
};

export class ModelServer extends LoopbackServer {
  readonly requests: ModelRequest[] = [];
  answer: Answer = () => ({ say: 'Done.' });

  static start(): Promise<ModelServer> {
    return new ModelServer().listen();
  }

  /** As the variables of the native agent say it. */
  env(api: ApiName): Record<string, string> {
    switch (api) {
      case 'chat':
        return { LONGHAUL_LOCAL_MODEL_URL: `${this.origin}/v1`, DEFAULT_MODEL: 'local/m' };
      case 'anthropic':
        return {
          ANTHROPIC_API_KEY: 'x',
          ANTHROPIC_BASE_URL: this.origin,
          DEFAULT_MODEL: 'anthropic/claude-sonnet-4-5',
        };
      case 'google':
        return { GEMINI_API_KEY: 'x', GOOGLE_GEMINI_BASE_URL: this.origin, DEFAULT_MODEL: 'google/gemini-2.5-flash' };
    }
  }

  protected async serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = request.url ?? '';
    const body = (await request.toArray()).join('');
    if (request.method === 'GET' && /\/models(\?|$)/.test(path)) {
      response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(MODELS));
      return;
    }
    const api = API_PATHS.find(([pattern]) => pattern.test(path))?.[1];
    if (api === undefined || request.method !== 'POST') {
      response.writeHead(404).end('{}');
      return;
    }
    const parsed = JSON.parse(body) as Json;
    const asked = readAsked(api, path, parsed);
    const noted: ModelRequest = { ...asked, api, body: parsed, broken: brokenRules(asked), answered: false };
    this.requests.push(noted);
    const reply: Reply =
      noted.broken.length > 0 ? { status: 400, message: noted.broken.join('; ') } : await this.answer(noted);
    const said = !isRefused(reply) && reply.think ? { ...reply, think: thoughtOf(asked.model, reply.think) } : reply;
    await send(response, api, said);
    noted.answered = response.writableFinished;
  }
}

async function send(response: ServerResponse, api: ApiName, reply: Reply): Promise<void> {
  if (isRefused(reply)) {
    const { status, headers } = reply;
    response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(errorBody(api, reply));
    return;
  }
  response.writeHead(200, { 'content-type': 'text/event-stream' });
  const { begin, end } = streamOf(api, reply);
  for (const one of begin) response.write(one);
  const gone = once(response, 'close');
  if (reply.hold) await Promise.race([reply.hold, gone]);
  for (const one of end) response.write(one);
  if (reply.end === 'cut') response.destroy();
  else response.end();
  await gone;
}
