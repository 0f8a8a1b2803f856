/** Makes one streamed model call. It reports text and reasoning as they arrive, and returns the finished step. */
import type {
  LanguageModelV3,
  LanguageModelV3FunctionTool,
  LanguageModelV3Prompt,
  LanguageModelV3StreamPart,
  SharedV3ProviderOptions,
} from '@ai-sdk/provider';
import { ModelFailure, modelFailure } from './model-failure.ts';
import type { ProviderMetadata, Reasoning, StepRecord, ToolCall } from './records.ts';
import { ThinkTags } from './think-tags.ts';

export interface ModelRequest {
  readonly model: LanguageModelV3;
  /** `provider/model`, for messages. */
  readonly name: string;
  readonly prompt: LanguageModelV3Prompt;
  readonly tools: readonly LanguageModelV3FunctionTool[];
  readonly options: SharedV3ProviderOptions;
  readonly signal: AbortSignal;
  onSaid(kind: 'text' | 'reasoning', text: string): Promise<void>;
}

export type ModelStep = Pick<StepRecord, 'text' | 'reasoning' | 'calls' | 'usage' | 'finish'>;

interface Draft {
  text: string;
  readonly reasoning: Map<string, { text: string; metadata?: ProviderMetadata }>;
  readonly calls: ToolCall[];
  readonly tags: ThinkTags;
}

/**
 * The key, in `Draft.reasoning`, of reasoning that the model puts in tags. Other reasoning has an id of the provider as
 * its key.
 */
const TAGGED = '<think>';

/** Makes the call. Fails with ModelFailure; after a stop, fails with the signal's reason. */
export async function callModel(request: ModelRequest): Promise<ModelStep> {
  const { model, name, prompt, tools, options, signal } = request;
  const draft: Draft = { text: '', reasoning: new Map(), calls: [], tags: new ThinkTags() };
  try {
    const { stream } = await model.doStream({
      prompt,
      ...(tools.length === 0 ? {} : { tools: [...tools] }),
      providerOptions: options,
      abortSignal: signal,
    });
    for await (const part of stream) {
      signal.throwIfAborted();
      if (part.type === 'finish') return await finished(request, draft, part);
      await take(request, draft, part);
    }
  } catch (error) {
    signal.throwIfAborted();
    throw modelFailure(error, name);
  }
  throw withoutEnd(name);
}

async function take(request: ModelRequest, draft: Draft, part: LanguageModelV3StreamPart): Promise<void> {
  switch (part.type) {
    case 'text-delta':
      return say(request, draft, draft.tags.push(part.delta));
    case 'reasoning-start':
    case 'reasoning-delta':
    case 'reasoning-end': {
      const known = draft.reasoning.get(part.id);
      const text = part.type === 'reasoning-delta' ? part.delta : '';
      const metadata = part.providerMetadata as ProviderMetadata | undefined;
      draft.reasoning.set(part.id, { text: (known?.text ?? '') + text, ...withMetadata(known?.metadata, metadata) });
      if (text !== '') await request.onSaid('reasoning', text);
      return;
    }
    case 'tool-call': {
      const { toolCallId: id, toolName, input, providerMetadata } = part;
      const metadata = withMetadata(undefined, providerMetadata as ProviderMetadata | undefined);
      draft.calls.push({ id, name: toolName, input, ...metadata });
      return;
    }
    case 'error':
      throw modelFailure(part.error, request.name);
    default:
      return; // starts and ends of text, pieces of arguments, sources: none of them is shown to the client
  }
}

function withMetadata(before: ProviderMetadata | undefined, now: ProviderMetadata | undefined) {
  const metadata = before === undefined && now === undefined ? undefined : { ...before, ...now };
  return metadata === undefined ? {} : { metadata };
}

async function say(request: ModelRequest, draft: Draft, pieces: ReturnType<ThinkTags['push']>): Promise<void> {
  for (const { kind, text } of pieces) {
    if (kind === 'text') draft.text += text;
    else draft.reasoning.set(TAGGED, { text: (draft.reasoning.get(TAGGED)?.text ?? '') + text });
    await request.onSaid(kind, text);
  }
}

type Finish = Extract<LanguageModelV3StreamPart, { type: 'finish' }>;

async function finished(request: ModelRequest, draft: Draft, { usage, finishReason }: Finish): Promise<ModelStep> {
  await say(request, draft, draft.tags.end());
  const finish = finishOf(finishReason, draft.calls.length > 0);
  if (finish === undefined) throw withoutEnd(request.name);
  if (draft.text.trim() === '' && draft.calls.length === 0 && finish === 'stop') {
    throw new ModelFailure('empty', `${request.name}: the model returned no text and no tool call`);
  }
  const reasoning: Reasoning[] = [...draft.reasoning.values()].filter(
    ({ text, metadata }) => text !== '' || metadata !== undefined,
  );
  const [input, output] = [usage.inputTokens.total ?? 0, usage.outputTokens.total ?? 0];
  return { text: draft.text, reasoning, calls: draft.calls, usage: { input, output }, finish };
}

function finishOf({ unified, raw }: Finish['finishReason'], hasCalls: boolean): StepRecord['finish'] | undefined {
  switch (unified) {
    case 'length':
      return 'length';
    case 'content-filter':
      return 'refusal';
    case 'error':
    case 'other':
      // Without `raw`, the reason is the AI SDK's own, because the stream ended without a finish reason.
      if (raw === undefined) return undefined;
      return hasCalls ? 'tool_calls' : 'stop';
    case 'stop':
    case 'tool-calls':
      return hasCalls ? 'tool_calls' : 'stop';
  }
}

const withoutEnd = (name: string): ModelFailure =>
  new ModelFailure('transient', `${name}: the stream ended without a finish reason; the connection may have been cut`);
