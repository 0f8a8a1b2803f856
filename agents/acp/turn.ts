/** Runs one turn: sends the prompt and waits for its end, which is an answer, a stop, a stall or a crash. */
import { methods, RequestError } from '@agentclientprotocol/sdk/unstable';
import { setTimeout as sleep } from 'node:timers/promises';
import { unlessAborted } from '../../contract/promises.ts';
import type { OpenAgent, TurnEnd } from '../driver.ts';
import type { AgentProcess } from '../process/spawn.ts';
import type { Conversation } from './conversation.ts';
import { stallError } from './failures.ts';
import type { Link } from './link.ts';
import { failedPrompt } from './program-end.ts';
import { turnEnd } from './turn-end.ts';

/** How long the agent may take to end its turn after session/cancel. */
const STOP_GRACE_MS = 5_000;
/** Some agents send updates after the result of the prompt, so the turn ends only after a silence of this length. */
const DRAIN_SILENCE_MS = 100;
/**
 * The silence after a successful answer. It is shorter than after other ends, because each task waits for it; no agent
 * that was tried sends updates later.
 */
const ANSWERED_SILENCE_MS = 30;
const DRAIN_LIMIT_MS = 1_000;

export interface AcpTurn {
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
 * Fails the link if the agent sends nothing for the stall timeout. While a tool call is open, the tool timeout applies,
 * because a build may print nothing for a long time. The time in which the driver handles an event, or in which the
 * agent waits for a person, does not count.
 */
function watchForStall({ options, link, conversation }: AcpTurn): () => void {
  const { stallMs, toolMs } = options.timeouts;
  const tickMs = Math.max(10, Math.min(1_000, stallMs / 10));
  let seen = link.activity();
  // The silence is counted in ticks and not by the clock, so that a worker that was suspended counts one tick, not a
  // stall.
  let silentMs = 0;
  const timer = setInterval(() => {
    const active = link.activity() !== seen || link.busy() || conversation.pendingAsks > 0;
    seen = link.activity();
    silentMs = active ? 0 : silentMs + tickMs;
    const tool = conversation.openCall()?.title;
    if (silentMs >= (tool === undefined ? stallMs : Math.max(stallMs, toolMs))) {
      link.fail(stallError(options.launch.name, { silentMs, tool, said: link.said() }));
    }
  }, tickMs);
  return () => clearInterval(timer);
}

async function stop({ link, agent, sessionId }: AcpTurn, answer: Promise<Outcome>): Promise<TurnEnd> {
  agent.recordDescendants();
  await Promise.race([link.notify(methods.agent.session.cancel, { sessionId }), sleep(STOP_GRACE_MS)]);
  const controller = new AbortController();
  const grace = sleep(STOP_GRACE_MS, undefined, { signal: controller.signal }).catch(() => {});
  await Promise.race([answer, grace]);
  controller.abort();
  await link.drain(DRAIN_SILENCE_MS, DRAIN_LIMIT_MS);
  await agent.end();
  return { kind: 'stopped' };
}

async function conclude(turn: AcpTurn, outcome: Outcome, answer: Promise<Outcome>): Promise<TurnEnd> {
  const { launch } = turn.options;
  const { refused } = turn.conversation;
  switch (outcome.kind) {
    case 'aborted':
      return stop(turn, answer);
    case 'answered':
      await turn.link.drain(ANSWERED_SILENCE_MS, DRAIN_LIMIT_MS);
      return turnEnd(outcome.result, { agent: launch, refused, failure: turn.conversation.failure });
    case 'error':
      if (!(outcome.error instanceof RequestError)) throw outcome.error;
      await turn.link.drain(DRAIN_SILENCE_MS, DRAIN_LIMIT_MS);
      return { kind: 'failed', ...failedPrompt(launch, outcome.error) };
  }
}

/**
 * Runs the turn. Throws a LonghaulError if the agent crashes, stalls or overflows. The agent is ended in these cases
 * and after a stop.
 */
export async function runTurn(turn: AcpTurn): Promise<TurnEnd> {
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
    await conversation.endTurn().catch(() => {}); // the handler of events may be the part that failed
    throw error;
  } finally {
    stopWatching();
  }
}
