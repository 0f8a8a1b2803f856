/**
 * Converts an agent's events to frames and to the stored message. The recorder has no connection and no clock, so the
 * same events always give the same frames.
 */
import type { AgentEvent } from '../agents/driver.ts';
import {
  emptyMessage,
  foldFrame,
  isOpenCall,
  MAX_CONTENT_CHARS,
  MAX_REASONING_CHARS,
  MAX_TOOL_CALLS,
  type MessageView,
} from '../frames/fold.ts';
import type { FrameBody } from '../contract/frame.ts';
import { wellFormed } from '../store/well-formed.ts';
import type { ChatId, MessageId } from '../contract/ids.ts';
import type { ToolCall, Usage } from '../contract/vocabulary.ts';
import { Paragraphs } from './paragraphs.ts';

/**
 * The maximum length of text that the live stream has beyond the stored message. After that, one warning follows and
 * the text is omitted.
 */
const STREAMED_BEYOND_CHARS = 1024 * 1024;

export interface RecordedMessage {
  readonly message_id: MessageId;
  readonly chat_id: ChatId;
}

export class TurnRecorder {
  readonly #of: RecordedMessage;
  readonly #emit: (frame: FrameBody) => void;
  readonly view: MessageView;
  usage: Usage | undefined;
  /** The title of the running tool call. */
  tool: string | undefined;
  #reasoningChars: number;
  #paragraphs: Readonly<Record<'text' | 'reasoning', Paragraphs>>;
  #warned = new Set<'text' | 'reasoning' | 'tool calls'>();

  /** `view`: the message as earlier attempts left it. */
  constructor(of: RecordedMessage, emit: (frame: FrameBody) => void, view: MessageView = emptyMessage()) {
    this.#of = of;
    this.#emit = emit;
    this.view = view;
    this.#reasoningChars = view.reasoning.length;
    this.#paragraphs = { text: new Paragraphs(view.content), reasoning: new Paragraphs(view.reasoning) };
  }

  #add(frame: FrameBody): void {
    foldFrame(this.view, frame);
    this.#emit(frame);
  }

  record(received: AgentEvent): void {
    // The text is made well-formed here, so that this view equals the view that readers build from the log.
    const event = wellFormed(received);
    switch (event.kind) {
      case 'text':
        return this.#text(this.#paragraphs.text.next(event.text, event.messageId));
      case 'reasoning':
        return this.#reasoning(this.#paragraphs.reasoning.next(event.text, event.messageId));
      case 'tool_call':
        return this.#toolCall(event.call);
      case 'plan':
        return this.#add({ type: 'plan', ...this.#of, entries: event.entries });
      case 'commands':
        return this.#emit({ type: 'agent_commands', commands: event.commands });
      case 'usage':
        this.usage = event.usage;
        return this.#emit({ type: 'usage', usage: event.usage });
      case 'warning':
        return this.#emit({ type: 'warning', message: event.message });
      case 'note':
        // The event is a title or a mode that the agent has set. The message contains neither titles nor modes.
        return undefined;
    }
  }

  #text(text: string): void {
    if (this.view.totalChars <= MAX_CONTENT_CHARS + STREAMED_BEYOND_CHARS) {
      const before = this.view.totalChars;
      this.#add({ type: 'delta', ...this.#of, content: text });
      return this.#warnIfCut('text', { before, after: this.view.totalChars, kept: MAX_CONTENT_CHARS });
    }
    this.view.totalChars += text.length;
    this.#warnOfOverflow('text', 'written', MAX_CONTENT_CHARS);
  }

  #reasoning(text: string): void {
    if (this.#reasoningChars > MAX_REASONING_CHARS + STREAMED_BEYOND_CHARS) {
      return this.#warnOfOverflow('reasoning', 'thought', MAX_REASONING_CHARS);
    }
    const before = this.#reasoningChars;
    this.#reasoningChars += text.length;
    this.#add({ type: 'reasoning_delta', ...this.#of, content: text });
    this.#warnIfCut('reasoning', { before, after: this.#reasoningChars, kept: MAX_REASONING_CHARS });
  }

  /** Warns when the stored message has its maximum length and the stream continues. */
  #warnIfCut(what: string, { before, after, kept }: { before: number; after: number; kept: number }): void {
    if (before > kept || after <= kept) return;
    const message = `The message keeps the first ${kept} characters of the agent's ${what}: the rest is only streamed.`;
    this.#emit({ type: 'warning', message });
  }

  #warnOfOverflow(what: 'text' | 'reasoning', verb: string, kept: number): void {
    if (this.#warned.has(what)) return;
    this.#warned.add(what);
    const message =
      `The agent has ${verb} more than ${kept + STREAMED_BEYOND_CHARS} characters: ` +
      `the rest is not shown, and the message keeps the first ${kept}.`;
    this.#emit({ type: 'warning', message });
  }

  #toolCall(call: ToolCall): void {
    const { toolCalls } = this.view;
    if (toolCalls.size >= MAX_TOOL_CALLS && !toolCalls.has(call.tool_call_id) && !this.#warned.has('tool calls')) {
      this.#warned.add('tool calls');
      const message = `The agent has made more than ${MAX_TOOL_CALLS} tool calls: the message keeps the newest.`;
      this.#emit({ type: 'warning', message });
    }
    if (!toolCalls.has(call.tool_call_id)) {
      this.#paragraphs.text.break();
      this.#paragraphs.reasoning.break();
    }
    if (isOpenCall(call)) this.tool = call.title;
    else if (this.tool === call.title) this.tool = undefined;
    this.#add({ type: 'tool_call', ...this.#of, call });
  }

  /**
   * Ends the tool calls that a killed agent left open, because agents do not report them again. Returns their titles.
   */
  closeDangling(): string[] {
    this.tool = undefined;
    const open = [...this.view.toolCalls.values()].filter(isOpenCall);
    for (const call of open) {
      this.#add({ type: 'tool_call', ...this.#of, call: { ...call, status: 'failed' } });
    }
    return open.map(({ title }) => title);
  }

  startOver(reason: string): void {
    this.tool = undefined;
    this.#reasoningChars = 0;
    this.#paragraphs = { text: new Paragraphs(), reasoning: new Paragraphs() };
    this.#warned.clear();
    this.#add({ type: 'message_reset', ...this.#of, reason });
  }

  get finishedToolCalls(): number {
    return [...this.view.toolCalls.values()].filter((call) => call.status === 'completed').length;
  }

  get tokens(): number | undefined {
    const { total_tokens, input_tokens, output_tokens } = this.usage ?? {};
    if (total_tokens !== undefined) return total_tokens;
    return input_tokens === undefined && output_tokens === undefined
      ? undefined
      : (input_tokens ?? 0) + (output_tokens ?? 0);
  }
}
