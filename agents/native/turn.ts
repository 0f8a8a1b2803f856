/**
 * Runs a turn of the native agent, in which model calls and tool calls alternate. The turn's state is in the journal,
 * so a turn continues after a kill: a finished model call is not made again, and a tool call without a result is
 * executed unless it had begun.
 */
import { RequestError, type PromptResponse } from '@agentclientprotocol/sdk/unstable';
import { lastTurn, openCalls, consecutiveEqualCalls, type JournalTurn, usageOf } from './conversation.ts';
import type { Journal } from './journal.ts';
import { ModelFailure, requestError } from './model-failure.ts';
import type { JournalRecord, TurnEndReason } from './records.ts';
import { INTERRUPTED } from './repair-history.ts';
import { nextStep } from './step.ts';
import { type CallContext, executeCall, REPEATED_TOO_OFTEN } from './tool-calls.ts';

export interface PromptTurn extends CallContext {
  readonly text: string;
  /** True if the client says that this turn was begun before and was interrupted. */
  readonly interrupted: boolean;
}

export async function promptTurn(prompt: PromptTurn): Promise<PromptResponse> {
  const { session, signal } = prompt;
  const { journal } = session;
  const turn = await beginTurn(prompt);
  try {
    return endTurn(prompt, turn.number, turn.ended ? await repeatEnd(prompt, turn) : await work(prompt, turn.number));
  } catch (error) {
    // The journal does not record a stop, because a worker that shuts down stops its turns, too, and the next worker
    // continues them. If the next prompt begins another turn, the open calls get a result then.
    if (signal.aborted) return { stopReason: 'cancelled', usage: usageIn(journal, turn.number) };
    // The turn stays open. It continues when the client sends its prompt again.
    throw error instanceof ModelFailure ? requestError(error) : error;
  }
}

/** Returns the interrupted turn if the prompt continues it, otherwise a new turn. */
async function beginTurn(prompt: PromptTurn): Promise<JournalTurn> {
  const { session, text, interrupted } = prompt;
  const { journal } = session;
  const last = lastTurn(journal.records);
  if (interrupted && last?.text === text) return last;
  for (const { call } of openCalls(journal.records)) {
    journal.append({ type: 'result', call: call.id, ok: false, output: INTERRUPTED });
  }
  const number = (last?.number ?? 0) + 1;
  journal.append({ type: 'user', turn: number, text });
  return { number, text, ended: false, steps: [] };
}

function endTurn({ session: { journal } }: PromptTurn, turn: number, reason: TurnEndReason): PromptResponse {
  if (!lastTurn(journal.records)?.ended) journal.append({ type: 'end', turn, reason });
  return { stopReason: reason, usage: usageIn(journal, turn) };
}

function usageIn({ records }: Journal, turn: number): NonNullable<PromptResponse['usage']> {
  const { input, output } = usageOf(records, turn);
  return { inputTokens: input, outputTokens: output, totalTokens: input + output };
}

/**
 * Handles a turn that ended but whose end the client did not receive: sends its last text again, because the client may
 * not have received the text.
 */
async function repeatEnd({ session, show }: PromptTurn, turn: JournalTurn): Promise<TurnEndReason> {
  const last = turn.steps.at(-1);
  if (last && last.text !== '') await show.say('text', last.text, `${turn.number}-again`);
  const end = session.journal.records.findLast((record) => record.type === 'end');
  return end?.reason ?? 'end_turn';
}

async function work(prompt: PromptTurn, turn: number): Promise<TurnEndReason> {
  const { session, show, signal } = prompt;
  const { journal, environment } = session;
  for (;;) {
    signal.throwIfAborted();
    for (const open of openCalls(journal.records)) {
      refuseEndless(journal.records, open.call);
      await executeCall(prompt, open);
    }
    const steps = lastTurn(journal.records)?.steps ?? [];
    const last = steps.at(-1);
    if (last !== undefined && last.calls.length === 0) return END_OF[last.finish];
    if (steps.length >= environment.maxSteps) {
      await show.say(
        'text',
        `\nStopped after ${steps.length} model calls in one turn, which is the limit.\n`,
        `${turn}-limit`,
      );
      return 'max_turn_requests';
    }
    await nextStep(prompt, turn);
  }
}

const END_OF = { stop: 'end_turn', tool_calls: 'end_turn', length: 'max_tokens', refusal: 'refusal' } as const;

function refuseEndless(records: readonly JournalRecord[], call: Parameters<typeof consecutiveEqualCalls>[1]): void {
  const times = consecutiveEqualCalls(records, call);
  if (times < REPEATED_TOO_OFTEN) return;
  throw RequestError.internalError(
    { details: `the model made the same call of ${call.name} ${times} times in a row and did not act on its results` },
    'the turn was ended',
  );
}
