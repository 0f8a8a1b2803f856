/**
 * A model's API without a model: OpenAI chat completions, OpenAI responses and Gemini on one port. The test
 * decides each answer, may hold a stream open for as long as it likes, and sees every request.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { LoopbackServer, repliesInOrder } from '../lab/loopback-server.ts';
import { type Api, type ApiRequest, apiOf, type Json, type Reply } from './model-apis.ts';

export interface ModelRequest extends ApiRequest {
  readonly model: string;
  readonly body: Json;
  /** The body as it came: for looking whether the model was told something. */
  readonly text: string;
}

export type Answer = (request: ModelRequest) => Reply | Promise<Reply>;

export const inOrder = (...replies: Reply[]): Answer => repliesInOrder(replies, ({ text }) => text.slice(-500));

/** An event: resolves when `open` is called. */
export class Gate {
  open: () => void = () => {};
  readonly opened = new Promise<void>((resolve) => {
    this.open = resolve;
  });
}

export class FakeModel extends LoopbackServer {
  /** Requests for the work itself. Titles and the like are answered without asking the test. */
  readonly requests: ModelRequest[] = [];
  answer: Answer = () => ({ kind: 'text', text: 'Done.' });

  static start(): Promise<FakeModel> {
    return new FakeModel().listen();
  }

  /** For the next test. */
  reset(): void {
    this.requests.length = 0;
    this.faults.length = 0;
    this.answer = () => ({ kind: 'text', text: 'Done.' });
  }

  protected async serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
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
