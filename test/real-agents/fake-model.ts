/**
 * A model's API without a model: OpenAI chat completions, OpenAI responses and Gemini on one port. The test
 * decides each answer, may hold a stream open for as long as it likes, and sees every request.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { type Api, type ApiRequest, apiOf, type Json, type Reply } from './model-apis.ts';

export interface ModelRequest extends ApiRequest {
  readonly model: string;
  readonly body: Json;
  /** The body as it came: for looking whether the model was told something. */
  readonly text: string;
}

export type Answer = (request: ModelRequest) => Reply | Promise<Reply>;

/** One reply after the other, whatever is asked. */
export function inOrder(...replies: Reply[]): Answer {
  const left = [...replies];
  return (request) => {
    const next = left.shift();
    if (next) return next;
    throw new Error(`the model was asked once more than the test has answers: ${request.text.slice(-500)}`);
  };
}

/** An event: resolves when `open` is called. */
export class Gate {
  open: () => void = () => {};
  readonly opened = new Promise<void>((resolve) => {
    this.open = resolve;
  });
}

export class FakeModel {
  /** Requests for the work itself. Titles and the like are answered without asking the test. */
  readonly requests: ModelRequest[] = [];
  /** Answers that could not be given: a test's mistake. */
  readonly faults: string[] = [];
  answer: Answer = () => ({ kind: 'text', text: 'Done.' });
  readonly #server: Server;

  private constructor() {
    this.#server = createServer((request, response) => {
      this.#serve(request, response).catch((error: unknown) => {
        this.faults.push(String(error));
        response.destroy();
      });
    });
  }

  static async start(): Promise<FakeModel> {
    const model = new FakeModel();
    model.#server.listen(0, '127.0.0.1');
    await once(model.#server, 'listening');
    return model;
  }

  /** Its origin. */
  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** For the next test. */
  reset(): void {
    this.requests.length = 0;
    this.faults.length = 0;
    this.answer = () => ({ kind: 'text', text: 'Done.' });
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, 'close');
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = request.url ?? '';
    const api = apiOf(path);
    const text = (await request.toArray()).join('');
    if (!api || request.method !== 'POST') {
      response.writeHead(404).end('{}');
      return;
    }
    const body = JSON.parse(text) as Json;
    const read = api.read(body);
    const asked: ModelRequest = { ...read, model: api.model(path, body), body, text };
    if (asked.isWork) this.requests.push(asked);
    const reply: Reply = asked.isWork ? await this.answer(asked) : { kind: 'text', text: '{"title":"A task"}' };
    await send(response, { api, streams: api.streams(path, body), reply });
  }
}

async function send(
  response: ServerResponse,
  { api, streams, reply }: { api: Api; streams: boolean; reply: Reply },
): Promise<void> {
  if (reply.kind === 'error') {
    response.writeHead(reply.status, { 'content-type': 'application/json' }).end(api.error(reply));
    return;
  }
  if (!streams) {
    response.writeHead(200, { 'content-type': 'application/json' }).end(api.whole(reply));
    return;
  }
  response.writeHead(200, { 'content-type': 'text/event-stream' });
  const { begin, end } = api.stream(reply);
  for (const event of begin) response.write(event);
  if (reply.kind === 'text' && reply.hold) {
    const gone = new Promise((resolve) => response.once('close', resolve));
    await Promise.race([reply.hold.opened, gone]);
  }
  for (const event of end) response.write(event);
  response.end();
}
