/** Sends the adapter's updates of a turn to its client, in order. */
import type { AgentContext, RequestPermissionResponse, SessionUpdate } from '@agentclientprotocol/sdk/unstable';
import type { AskedQuestion } from './question-watcher.ts';
import type { AnswerOption } from './profiles/profile.ts';

/** Limit of the text of one turn in characters. A message stores far less, and the recording has the rest. */
const KEPT_CHARS = 2_000_000;
/** The shortest interval between two notifications of progress without text, such as a line that is redrawn. */
const ALIVE_MS = 5_000;

export class UpdateSender {
  readonly #client: AgentContext;
  readonly #sessionId: string;
  #sending: Promise<unknown> = Promise.resolve();
  #left = KEPT_CHARS;
  #omitted = 0;
  #calls = 0;
  #saidAt = performance.now();

  constructor(client: AgentContext, sessionId: string) {
    this.#client = client;
    this.#sessionId = sessionId;
  }

  text(text: string): void {
    if (text.length > this.#left) {
      this.#omitted += text.length;
      this.#left = 0;
      return;
    }
    this.#left -= text.length;
    this.#send({ sessionUpdate: 'agent_message_chunk', content: { type: 'text', text } });
  }

  alive(): void {
    if (performance.now() - this.#saidAt < ALIVE_MS) return;
    this.#saidAt = performance.now();
    this.#notify('_longhaul/terminal/alive', { sessionId: this.#sessionId });
  }

  /** Resolves when everything is written to the client. */
  async sent(): Promise<void> {
    if (this.#omitted > 0) {
      const text = `\n[${this.#omitted} more characters of output are left out; the recording has them]`;
      this.#omitted = 0;
      this.#send({ sessionUpdate: 'agent_message_chunk', content: { type: 'text', text } });
    }
    await this.#sending;
  }

  /** Sends a permission request and returns the chosen answer, or `undefined` if the request was cancelled. */
  async ask({ title, context, options }: AskedQuestion, signal: AbortSignal): Promise<AnswerOption | undefined> {
    this.#calls += 1;
    const toolCallId = `${this.#sessionId.slice(0, 8)}-question-${Date.now()}-${this.#calls}`;
    const content = [{ type: 'content' as const, content: { type: 'text' as const, text: context } }];
    const toolCall = { toolCallId, title, kind: 'other' as const, status: 'pending' as const, content };
    this.#send({ sessionUpdate: 'tool_call', ...toolCall });
    await this.#sending;
    const { outcome } = await this.#client.request<RequestPermissionResponse>('session/request_permission', {
      sessionId: this.#sessionId,
      toolCall,
      options: options.map(({ id: optionId, name, kind }) => ({ optionId, name, kind })),
    });
    const chosen = outcome.outcome === 'selected' ? options.find(({ id }) => id === outcome.optionId) : undefined;
    const isAllowed = chosen?.kind.startsWith('allow') === true;
    if (!signal.aborted) {
      this.#send({ sessionUpdate: 'tool_call_update', toolCallId, status: isAllowed ? 'completed' : 'failed' });
    }
    return chosen;
  }

  #send(update: SessionUpdate): void {
    this.#saidAt = performance.now();
    this.#notify('session/update', { sessionId: this.#sessionId, update });
  }

  /** Sends a notification and ignores a closed connection, because the end of the connection ends the turn anyway. */
  #notify(method: string, params: unknown): void {
    this.#sending = this.#sending.then(() => this.#client.notify(method, params)).catch(() => {});
  }
}
