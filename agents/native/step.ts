/**
 * Executes one step of a turn, a model call: prepares the conversation, calls the model and appends the finished step
 * to the journal.
 */
import { RequestError } from '@agentclientprotocol/sdk/unstable';
import type { LanguageModelV3, LanguageModelV3Message, LanguageModelV3Prompt } from '@ai-sdk/provider';
import { askModel } from './ask-model.ts';
import { type Entry, entriesOf } from './conversation.ts';
import { budgetChars, fitContext, newestThatFit, partToSummarize } from './fit-context.ts';
import { ModelFailure } from './model-failure.ts';
import type { ModelStep } from './model-call.ts';
import { summaryPrompt, systemPrompt } from './prompts.ts';
import { HOW_TO_SET, loadModel, type ModelId, thinkingOptions } from './providers.ts';
import type { ToolCall } from './records.ts';
import { repairHistory } from './repair-history.ts';
import type { CallContext } from './tool-calls.ts';
import { toolDefinitions, toolsOf } from './tools/tools.ts';

const AUTH_REQUIRED = -32000;

interface Asked {
  readonly name: string;
  readonly id: ModelId;
  readonly model: LanguageModelV3;
}

/** Makes the next model call of the turn and appends its record to the journal. Does not execute the tool calls. */
export async function nextStep(context: CallContext, turn: number): Promise<void> {
  const asked = await modelOf(context);
  const { session, show } = context;
  const { journal, contextTokens } = session;
  let step: ModelStep;
  try {
    step = await ask(context, asked, { turn, budget: budgetChars(contextTokens) });
  } catch (error) {
    if (!(error instanceof ModelFailure) || error.kind !== 'overflow') throw error;
    // The request exceeded the model's context: the estimate of its size was wrong, or the provider does not report the
    // context size. So the call is repeated with half the budget.
    step = await ask(context, asked, { turn, budget: budgetChars(contextTokens) / 2 });
  }
  const calls = withOwnIds(step.calls, new Set(idsIn(context)));
  journal.append({ type: 'step', turn, model: asked.name, ...step, calls });
  const { input, output } = step.usage;
  await show.update({ sessionUpdate: 'usage_update', used: input + output, size: contextTokens });
}

async function ask(context: CallContext, asked: Asked, { turn, budget }: { turn: number; budget: number }) {
  const { session, show, signal } = context;
  const tools = session.environment.answersOnly ? [] : toolDefinitions(toolsOf(session.mode));
  const entries = await fitted(context, asked, { turn, budget });
  const system = systemPrompt({ cwd: session.journal.cwd, mode: session.mode, hasTools: tools.length > 0 });
  const prompt: LanguageModelV3Prompt = [{ role: 'system', content: system }, ...repairHistory(entries, asked.name)];
  let call = `${turn}-${session.journal.records.length}`;
  return askModel(
    {
      model: asked.model,
      name: asked.name,
      prompt: asked.id.provider === 'anthropic' ? cached(prompt) : prompt,
      tools,
      options: thinkingOptions(asked.id, session.thinking),
      signal,
      onSaid: (kind, text) => show.say(kind, text, call),
    },
    async ({ failure, pauseMs }) => {
      // The text of the failed call stays visible, so the repeated call gets a message id of its own.
      call += '+';
      const notice = `${failure.message}. The call is repeated in ${pauseMs / 1_000} s.`;
      await show.say('reasoning', notice, call);
    },
  );
}

/**
 * Returns the entries that the model gets. If they do not fit without a summary, the model makes one, and the summary
 * is appended to the journal.
 */
async function fitted(
  { session, signal }: CallContext,
  { model, name }: Asked,
  { turn, budget }: { turn: number; budget: number },
): Promise<Entry[]> {
  const { journal } = session;
  const shortened = fitContext(entriesOf(journal.records), budget);
  if (shortened.fits) return shortened.entries;
  const old = partToSummarize(journal.records, budget);
  if (old !== undefined) {
    const prompt: LanguageModelV3Prompt = [
      { role: 'user', content: [{ type: 'text', text: summaryPrompt(old.text) }] },
    ];
    const request = { model, name, prompt, tools: [], options: {}, signal, onSaid: async () => {} };
    const { text, usage } = await askModel(request, async () => {});
    journal.append({ type: 'summary', turn, replaces: old.replaces, text, usage });
    const again = fitContext(entriesOf(journal.records), budget);
    if (again.fits) return again.entries;
  }
  return newestThatFit(journal.records, budget);
}

/** Marks the prefix that Anthropic may cache, because cached tokens cost a tenth of the price. */
function cached(prompt: LanguageModelV3Prompt): LanguageModelV3Prompt {
  const mark = (message: LanguageModelV3Message): LanguageModelV3Message => ({
    ...message,
    providerOptions: { anthropic: { cacheControl: { type: 'ephemeral' } } },
  });
  return prompt.map((message, index) => (index === 0 || index === prompt.length - 1 ? mark(message) : message));
}

async function modelOf({ session }: CallContext): Promise<Asked> {
  const { model: name, modelId: id, environment } = session;
  if (name === undefined) {
    throw new RequestError(AUTH_REQUIRED, `No model is configured. Set DEFAULT_MODEL to provider/model, such as local/qwen3, and ${HOW_TO_SET.local}, or a provider's key.`); // prettier-ignore
  }
  if (id === undefined) {
    throw RequestError.invalidParams(
      { details: `${name}: expected provider/model with one of the providers ${Object.keys(HOW_TO_SET).join(', ')}` },
      'unknown model',
    );
  }
  const provider = environment.settings.providers.find((one) => one.name === id.provider);
  if (provider === undefined) {
    throw new RequestError(AUTH_REQUIRED, `The model ${name} needs a provider that is not configured. Set ${HOW_TO_SET[id.provider]}.`); // prettier-ignore
  }
  return { name, id, model: await loadModel(provider, id.model) };
}

const idsIn = ({ session }: CallContext): string[] =>
  session.journal.records.flatMap((record) => (record.type === 'step' ? record.calls.map(({ id }) => id) : []));

/** Makes the ids of calls unique in the session, because some servers send the same id in every step, or no id. */
function withOwnIds(calls: readonly ToolCall[], used: Set<string>): ToolCall[] {
  return calls.map((call) => {
    const plain = call.id || 'call';
    let id = plain;
    for (let copy = 2; used.has(id); copy += 1) id = `${plain}_${copy}`;
    used.add(id);
    return { ...call, id };
  });
}
