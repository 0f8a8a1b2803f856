/** A model call that is repeated after transient failures, with growing pauses. */
import { setTimeout as sleep } from 'node:timers/promises';
import { callModel, type ModelRequest, type ModelStep } from './model-call.ts';
import { ModelFailure, saysWhen } from './model-failure.ts';

/** Longer outages are for the client: it dispatches the turn again, without an agent that waits. */
const PAUSES_MS = [500, 1_000, 2_000];

export interface Repeat {
  readonly failure: ModelFailure;
  readonly pauseMs: number;
}

/** `beforeRepeat` is called before each repetition: text of the failed call may have been shown. */
export async function askModel(
  request: ModelRequest,
  beforeRepeat: (repeat: Repeat) => Promise<void>,
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

/** A limit whose end is known is waited for by the client. */
const mayRepeat = (failure: ModelFailure): boolean =>
  failure.kind === 'transient' || failure.kind === 'empty' || (failure.kind === 'limit' && !saysWhen(failure));
