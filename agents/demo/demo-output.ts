/** Sends what the demo agent shows during a turn: text, thoughts, tool calls and a plan, at a set pace. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { AgentContext, SessionUpdate, ToolCallContent, ToolKind } from '@agentclientprotocol/sdk/unstable';
import { describe, type Instruction } from './instructions.ts';

/**
 * An instruction other than `say` counts as this many steps; `say` counts one step for each word. The time of `slowly`
 * is divided equally among all steps.
 */
const STEPS = 3;

const chunksOf = (text: string): string[] => text.match(/\s*\S+\s*/g) ?? [text];

export class DemoOutput {
  /** The text that the agent has sent in this turn. */
  spoken = '';
  readonly #client: AgentContext;
  readonly #sessionId: string;
  readonly #signal: AbortSignal;
  readonly #loud: boolean;
  #delayMs = 0;
  #plan: { content: string; status: 'pending' | 'in_progress' | 'completed' }[] = [];
  #planFrom = 0;

  constructor(options: { client: AgentContext; sessionId: string; signal: AbortSignal; loud: boolean }) {
    this.#client = options.client;
    this.#sessionId = options.sessionId;
    this.#signal = options.signal;
    this.#loud = options.loud;
  }

  async update(update: SessionUpdate): Promise<void> {
    this.#signal.throwIfAborted();
    await this.#client.notify('session/update', { sessionId: this.#sessionId, update });
  }

  /** Sets the pace: divides the time equally among the steps of these instructions. */
  slowDown(seconds: number, rest: readonly Instruction[]): void {
    const steps = rest.map((one) => ('text' in one && one.kind === 'say' ? chunksOf(one.text).length : STEPS));
    this.#delayMs =
      (seconds * 1000) /
      Math.max(
        1,
        steps.reduce((sum, count) => sum + count, 0),
      );
  }

  async pause(): Promise<void> {
    if (this.#delayMs > 0) await sleep(this.#delayMs, undefined, { signal: this.#signal });
    else this.#signal.throwIfAborted();
  }

  /** Sends the text word by word if a pace is set, otherwise as a whole. */
  async say(text: string): Promise<void> {
    const shown = this.#loud ? text.toUpperCase() : text;
    for (const chunk of this.#delayMs > 0 ? chunksOf(shown) : [shown]) {
      await this.update({ sessionUpdate: 'agent_message_chunk', content: { type: 'text', text: chunk } });
      this.spoken += chunk;
      await this.pause();
    }
  }

  async think(text: string): Promise<void> {
    await this.update({ sessionUpdate: 'agent_thought_chunk', content: { type: 'text', text } });
    await this.pause();
  }

  async beginCall(
    id: string,
    call: { title: string; kind: ToolKind; paths: string[]; input?: unknown },
  ): Promise<void> {
    const { title, kind, input } = call;
    const locations = call.paths.map((path) => ({ path }));
    const rawInput = input === undefined ? {} : { rawInput: input };
    await this.update({
      sessionUpdate: 'tool_call',
      toolCallId: id,
      title,
      kind,
      status: 'pending',
      locations,
      ...rawInput,
    });
    await this.pause();
    await this.update({ sessionUpdate: 'tool_call_update', toolCallId: id, status: 'in_progress' });
    await this.pause();
  }

  async showOutput(id: string, text: string): Promise<void> {
    const content: ToolCallContent[] = [{ type: 'content', content: { type: 'text', text } }];
    await this.update({ sessionUpdate: 'tool_call_update', toolCallId: id, content });
  }

  async endCall(id: string, status: 'completed' | 'failed', shown: string | ToolCallContent): Promise<void> {
    const content: ToolCallContent =
      typeof shown === 'string' ? { type: 'content', content: { type: 'text', text: shown } } : shown;
    await this.update({ sessionUpdate: 'tool_call_update', toolCallId: id, status, content: [content] });
    await this.pause();
  }

  async showPlan(rest: readonly Instruction[], from: number): Promise<void> {
    this.#plan = rest.map((one) => ({ content: describe(one), status: 'pending' }));
    this.#planFrom = from;
    await this.#sendPlan();
  }

  /** Marks the instruction with this index in the plan, if the agent has shown a plan. */
  async mark(index: number, status: 'in_progress' | 'completed'): Promise<void> {
    const entry = this.#plan[index - this.#planFrom];
    if (entry === undefined) return;
    entry.status = status;
    await this.#sendPlan();
  }

  async #sendPlan(): Promise<void> {
    const entries = this.#plan.map(({ content, status }) => ({ content, status, priority: 'medium' as const }));
    await this.update({ sessionUpdate: 'plan', entries });
  }
}
