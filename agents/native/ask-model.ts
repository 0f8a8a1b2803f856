/** Repeats a model call after transient failures, with growing pauses. */
import { setTimeout as sleep } from 'node:timers/promises';
import { callModel, type ModelRequest, type ModelStep } from './model-call.ts';
import { ModelFailure, hasResetTime } from './model-failure.ts';

/**
 * The pauses before the repetitions. After the last one the call fails. The client handles longer outages: it
 * dispatches the turn again, and no agent waits in the meantime.
 */
const PAUSES_MS = [500, 1_000, 2_000];

export interface Repetition {
  readonly failure: ModelFailure;
  readonly pauseMs: number;
}

/**
 * Calls the model. Calls `beforeRepeat` before each repetition, because text of the failed call may have been shown.
 */
export async function askModel(
  request: ModelRequest,
  beforeRepeat: (repeat: Repetition) => Promise<void>,
): Promise<ModelStep> {
  for (let attempt = 0; ; attempt += 1) {
    try {
      return await callModel(request);
    } catch (error) {
      const pauseMs = PAUSES_MS[attempt];
      if (!(error instanceof ModelFailure) || pauseMs === undefined || !mayRepeat(error)) throw error;
      await beforeRepeat({ failure: error, pauseMs });
      await sleep(pauseMs, undefined, { signal: request.signal });
    }
  }
}

/**
 * Returns whether the call may be repeated. A limit with a known reset time is not repeated here, because the client
 * waits for it.
 */
const mayRepeat = (failure: ModelFailure): boolean =>
  failure.kind === 'transient' || failure.kind === 'empty' || (failure.kind === 'limit' && !hasResetTime(failure));
