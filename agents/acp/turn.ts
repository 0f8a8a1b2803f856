/** One turn: the prompt, its end, and the three ways in which it may not come: a stop, a stall, a crash. */
import { methods, RequestError } from '@agentclientprotocol/sdk/unstable';
import { setTimeout as sleep } from 'node:timers/promises';
import { unlessAborted } from '../../contract/promises.ts';
import type { OpenAgent, TurnEnd } from '../driver.ts';
import type { AgentProcess } from '../process/spawn.ts';
import type { Conversation } from './conversation.ts';
import { stalled } from './failures.ts';
import type { Link } from './link.ts';
import { turnFailure } from './program-end.ts';
import { turnEnd } from './turn-end.ts';

/** How long the agent may take to stop when asked to. */
const STOP_GRACE_MS = 5_000;
/** Some agents send updates after the prompt's result: so much silence ends the turn. */
const DRAIN_SILENCE_MS = 100;
/** After a good answer: what agents send after it, they send with it, as far as was seen; each task waits this long. */
const ANSWERED_SILENCE_MS = 30;
const DRAIN_BOUND_MS = 1_000;

export interface Turn {
  readonly options: OpenAgent;
  readonly agent: AgentProcess;
  readonly link: Link;
  readonly conversation: Conversation;
  readonly sessionId: string;
  readonly text: string;
}

type Outcome =
  | { readonly kind: 'answered'; readonly result: unknown }
  | { readonly kind: 'error'; readonly error: unknown }
  | { readonly kind: 'aborted' };

/**
 * Fails the link if nothing comes from the agent for the stall timeout; while a tool call is open, for the tool
 * timeout, since a build says nothing for long. Time in which we do not read (an event is being handled) or in
 * which the agent waits for a person does not count.
 */
function watchForStall({ options, link, conversation }: Turn): () => void {
  const { stallMs, toolMs } = options.timeouts;
  const tickMs = Math.max(10, Math.min(1_000, stallMs / 10));
  let seen = link.activity();
  // Counted in ticks, not by the clock: a worker that was stopped for a while finds one tick, not a stall.
  let silentMs = 0;
  const timer = setInterval(() => {
    const active = link.activity() !== seen || link.busy() || conversation.pendingAsks > 0;
    seen = link.activity();
    silentMs = active ? 0 : silentMs + tickMs;
    const tool = conversation.openCall()?.title;
    if (silentMs >= (tool === undefined ? stallMs : Math.max(stallMs, toolMs))) {
      link.fail(stalled(options.launch.name, { silentMs, tool, said: link.said() }));
    }
  }, tickMs);
  return () => clearInterval(timer);
}

async function stop({ link, agent, sessionId }: Turn, answer: Promise<Outcome>): Promise<TurnEnd> {
  agent.noteFamily();
  await Promise.race([link.notify(methods.agent.session.cancel, { sessionId }), sleep(STOP_GRACE_MS)]);
  const controller = new AbortController();
  const grace = sleep(STOP_GRACE_MS, undefined, { signal: controller.signal }).catch(() => {});
  await Promise.race([answer, grace]);
  controller.abort();
  await link.drain(DRAIN_SILENCE_MS, DRAIN_BOUND_MS);
  await agent.end();
  return { kind: 'stopped' };
}

async function conclude(turn: Turn, outcome: Outcome, answer: Promise<Outcome>): Promise<TurnEnd> {
  const { launch } = turn.options;
  const { refused } = turn.conversation;
  switch (outcome.kind) {
    case 'aborted':
      return stop(turn, answer);
    case 'answered':
      await turn.link.drain(ANSWERED_SILENCE_MS, DRAIN_BOUND_MS);
      return turnEnd(outcome.result, { agent: launch, refused, failure: turn.conversation.failure });
    case 'error':
      if (!(outcome.error instanceof RequestError)) throw outcome.error;
      await turn.link.drain(DRAIN_SILENCE_MS, DRAIN_BOUND_MS);
      return { kind: 'failed', ...turnFailure(launch, outcome.error) };
  }
}

/** Throws LonghaulError if the agent crashes, stalls or overflows; it is ended then, and after a stop. */
export async function runTurn(turn: Turn): Promise<TurnEnd> {
  const { options, agent, link, conversation, sessionId, text } = turn;
  conversation.beginTurn();
  const prompt = [{ type: 'text', text }];
  const answer = link.request(methods.agent.session.prompt, { sessionId, prompt }).then(
    (result): Outcome => ({ kind: 'answered', result }),
    (error: unknown): Outcome => ({ kind: 'error', error }),
  );
  const stopWatching = watchForStall(turn);
  try {
    const outcome = (await unlessAborted(answer, options.signal)) ?? { kind: 'aborted' as const };
    const end = await conclude(turn, outcome, answer);
    await conversation.endTurn();
    return end;
  } catch (error) {
    await agent.end();
    await conversation.endTurn().catch(() => {}); // whoever handles events may be why we are here
    throw error;
  } finally {
    stopWatching();
  }
}
