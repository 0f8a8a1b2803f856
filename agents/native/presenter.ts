/** Sends the native agent's updates to its client. */
import {
  methods,
  type AgentContext,
  type SessionUpdate,
  type ToolCallContent,
  type ToolCallStatus,
} from '@agentclientprotocol/sdk/unstable';
import type { JournalRecord, ToolCall } from './records.ts';
import type { AnyTool, ShownCall } from './tools/tool.ts';

/** The shortest interval between two updates with the output of a running command. */
const OUTPUT_MS = 100;

const textContent = (text: string): ToolCallContent => ({ type: 'content', content: { type: 'text', text } });

export class Presenter {
  readonly client: AgentContext;
  readonly sessionId: string;

  constructor(client: AgentContext, sessionId: string) {
    this.client = client;
    this.sessionId = sessionId;
  }

  async update(update: SessionUpdate): Promise<void> {
    await this.client.notify(methods.client.session.update, { sessionId: this.sessionId, update });
  }

  /** Sends text or reasoning. Texts with the same `messageId` belong to one message. */
  async say(kind: 'text' | 'reasoning', text: string, messageId: string): Promise<void> {
    const sessionUpdate = kind === 'text' ? 'agent_message_chunk' : 'agent_thought_chunk';
    await this.update({ sessionUpdate, messageId, content: { type: 'text', text } });
  }

  async begin(call: ToolCall, tool: Pick<AnyTool, 'kind'> | undefined, shown: ShownCall): Promise<void> {
    await this.update({ sessionUpdate: 'tool_call', ...this.describe(call, tool, shown), status: 'pending' });
  }

  describe(call: ToolCall, tool: Pick<AnyTool, 'kind'> | undefined, { title, paths, content }: ShownCall) {
    return {
      toolCallId: call.id,
      title,
      kind: tool?.kind ?? ('other' as const),
      locations: paths.map((path) => ({ path })),
      rawInput: rawInput(call),
      ...(content === undefined ? {} : { content: [content] }),
    };
  }

  async status(id: string, status: ToolCallStatus): Promise<void> {
    await this.update({ sessionUpdate: 'tool_call_update', toolCallId: id, status });
  }

  /** Reports the end of a call. With `keepContent` the call keeps its content, the diff of an edit. */
  async end(id: string, { ok, output, keepContent }: { ok: boolean; output: string; keepContent: boolean }) {
    const content = keepContent ? {} : { content: [textContent(output)] };
    await this.update({
      sessionUpdate: 'tool_call_update',
      toolCallId: id,
      status: ok ? 'completed' : 'failed',
      ...content,
    });
  }

  /**
   * Returns functions that send the output of a running call to the client: `show` gets the output so far. `stop`
   * resolves when the last output was sent.
   */
  outputOf(id: string): { show(text: string): void; stop(): Promise<void> } {
    let newest: string | undefined;
    let timer: NodeJS.Timeout | undefined;
    let sent: Promise<void> = Promise.resolve();
    const send = (): void => {
      timer = undefined;
      if (newest === undefined) return;
      const content = [textContent(newest)];
      newest = undefined;
      // This failure is ignored: if the client has closed the connection, the next update that is awaited fails, too.
      sent = sent
        .then(() => this.update({ sessionUpdate: 'tool_call_update', toolCallId: id, content }))
        .catch(() => {});
    };
    return {
      show(text) {
        newest = text;
        timer ??= setTimeout(send, OUTPUT_MS);
      },
      async stop() {
        clearTimeout(timer);
        await sent;
      },
    };
  }

  /** Sends the session's history, for session/load. */
  async replay(records: readonly JournalRecord[]): Promise<void> {
    for (const record of records) {
      if (record.type === 'user') {
        await this.update({ sessionUpdate: 'user_message_chunk', content: { type: 'text', text: record.text } });
      } else if (record.type === 'step') {
        const messageId = `${record.turn}-${records.indexOf(record)}`;
        for (const { text } of record.reasoning) if (text !== '') await this.say('reasoning', text, messageId);
        if (record.text !== '') await this.say('text', record.text, messageId);
        for (const call of record.calls) await this.begin(call, undefined, { title: call.name, paths: [] });
      } else if (record.type === 'result') {
        await this.end(record.call, { ...record, keepContent: false });
      }
    }
  }
}

function rawInput({ input }: ToolCall): unknown {
  try {
    return JSON.parse(input) as unknown;
  } catch {
    return input;
  }
}
