/** One test's program under the suite: opened, prompted, and ended afterwards. */
import { afterEach, expect } from 'vitest';
import { TurnRecorder } from '../../../activities/recorder.ts';
import type { AgentEvent, OpenAgent, RunningAgent, ToolCall, TurnEnd } from '../../../agents/driver.ts';
import { findMarked } from '../../../agents/process/end.ts';
import type { FrameBody } from '../../../contract/frame.ts';
import type { AgentSessionId, ChatId, MessageId } from '../../../contract/ids.ts';
import { isAlive } from '../../../processes/identity.ts';
import { type Lab, makeLab } from '../lab.ts';
import type { Act, AgentUnderTest, MakeAgent } from './agent.ts';

/** A cancel must reach the program itself: the driver kills one that ignores it after 5 s, and needs more than that. */
const STOP_WITHIN_MS = 5_000;

export const say = (text: string): Act => ({ kind: 'say', text });
export const edit = (file: string, asks = false): Act => ({ kind: 'edit', file, content: 'written', asks });
export const HANG: Act = { kind: 'hang' };

export const callsIn = (events: readonly AgentEvent[]): ToolCall[] =>
  events.flatMap((event) => (event.kind === 'tool_call' ? [event.call] : []));
export const kindsIn = (lab: Lab) => new Set(lab.events.map(({ kind }) => kind));

/** The message that is kept of these events, and the frames that its readers get. */
export function recorded(events: readonly AgentEvent[]) {
  const frames: FrameBody[] = [];
  const of = { message_id: 'message' as MessageId, chat_id: 'chat' as ChatId };
  const recorder = new TurnRecorder(of, (frame) => frames.push(frame));
  for (const event of events) recorder.record(event);
  return { view: recorder.view, frames };
}

export interface Subject {
  readonly lab: Lab;
  readonly under: AgentUnderTest;
  readonly open: (options?: Partial<OpenAgent>) => Promise<RunningAgent>;
  /** A new session, and one turn in it. */
  readonly turn: (acts: readonly Act[], options?: Partial<OpenAgent>) => Promise<TurnEnd>;
  readonly start: (options?: Partial<OpenAgent>) => Promise<Started>;
}

interface Started {
  readonly agent: RunningAgent;
  readonly id: AgentSessionId;
  readonly perform: (acts: readonly Act[]) => Promise<TurnEnd>;
}

export type Body = (subject: Subject) => Promise<void>;

/** Makes the program once for each test, and ends afterwards what was made for it. */
export function subjects(make: MakeAgent): () => Promise<Subject> {
  const made: AgentUnderTest[] = [];
  afterEach(async () => {
    for (const under of made.splice(0)) await under.close?.();
  });
  return async () => {
    const lab = makeLab();
    const under = await make(lab);
    made.push(under);
    const open: Subject['open'] = (options) => lab.open(under.launch, options);
    const start: Subject['start'] = async (options) => {
      const agent = await open(options);
      const session = await agent.newSession({});
      return { agent, id: session.id, perform: (acts) => session.prompt(under.prompt(acts)) };
    };
    return { lab, under, open, start, turn: async (acts, options) => (await start(options)).perform(acts) };
  };
}

export async function stopsInTime({ lab, start }: Subject, acts: readonly Act[], ready: () => boolean): Promise<void> {
  const { agent, perform } = await start();
  const end = perform(acts);
  await lab.until('the agent at work', ready);
  const begun = performance.now();
  lab.stop.abort();
  expect(await end).toEqual({ kind: 'stopped' });
  expect(performance.now() - begun).toBeLessThan(STOP_WITHIN_MS);
  expect(isAlive(agent.process)).toBe(false);
  expect(findMarked(lab.taskId)).toEqual([]);
}
