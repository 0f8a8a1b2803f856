/**
 * Checks whether an agent can continue a session after its process was killed in mid-turn: starts the agent, sends one
 * short prompt, ends the process with SIGKILL when the first output arrives, and loads the session in a new process.
 *
 * Must never happen: an agent that could not be prompted (no login, no provider, a limit) gets the result `no`.
 *
 * Not covered: an agent that loads the session without error but has lost the session's content. Only a second prompt,
 * which would cost as much again, could show that.
 */
import type { ResumeCheck } from '../contract/agent-snapshot.ts';
import { type ErrorCode, LonghaulError } from '../contract/errors.ts';
import type { AgentSessionId } from '../contract/ids.ts';
import { deferred } from '../contract/promises.ts';
import { signalGroup } from '../processes/end.ts';
import type { AgentEvent, AgentSession, RunningAgent } from './driver.ts';
import type { AgentRegistry } from './launch/registry.ts';
import { openProbed, type ProbeRequest } from './probe.ts';

/**
 * The prompt is short, because it may cost money, and harmless in an empty folder. Every permission request is
 * cancelled.
 */
const PROMPT = 'Answer with the single word OK. Use no tools.';

/** The output of a turn. Other events may also arrive before a prompt. */
const OUTPUT: readonly AgentEvent['kind'][] = ['text', 'reasoning', 'tool_call', 'plan'];

/** The failures of a load that say that the agent cannot load. Any other failure says nothing about that. */
const CANNOT_LOAD: readonly ErrorCode[] = ['agent_session_lost', 'agent_crashed', 'agent_protocol_error'];

/** Fails only if `signal` aborts. Any failure of the agent becomes a result. */
export async function checkResume(registry: AgentRegistry, request: ProbeRequest): Promise<ResumeCheck> {
  try {
    const killed = await killInTurn(registry, request);
    return typeof killed === 'string' ? await loadAgain(registry, request, killed) : killed;
  } catch (error) {
    request.signal.throwIfAborted();
    if (!(error instanceof LonghaulError)) throw error;
    return { result: 'unknown', reason: error.message };
  }
}

/** Returns the id of the session of a killed agent, or the result if its turn failed before the kill. */
async function killInTurn(registry: AgentRegistry, request: ProbeRequest): Promise<AgentSessionId | ResumeCheck> {
  const output = deferred<'output'>();
  const agent = await openProbed(registry, {
    ...request,
    launch: registry.launch(request),
    onEvent: ({ kind }) => void (OUTPUT.includes(kind) && output.resolve('output')),
  });
  try {
    const session = await agent.newSession({});
    const end = session.prompt(PROMPT);
    const first = await Promise.race([output.promise, end]);
    if (first !== 'output' && first.kind !== 'completed') {
      request.signal.throwIfAborted();
      const message = first.kind === 'failed' ? first.message : `${request.name} was stopped before its first output.`;
      return { result: 'unknown', reason: message };
    }
    signalGroup(agent.process.pid, 'SIGKILL');
    await end.catch(() => {}); // the turn fails because of the kill
    return session.id;
  } finally {
    await agent.close();
  }
}

async function loadAgain(
  registry: AgentRegistry,
  request: ProbeRequest,
  sessionId: AgentSessionId,
): Promise<ResumeCheck> {
  const agent = await openProbed(registry, { ...request, launch: registry.launch(request), onEvent: () => {} });
  try {
    await loaded(agent, request, sessionId);
    await agent.deleteSession?.(sessionId).catch(() => {});
    return { result: 'yes', reason: '' };
  } catch (error) {
    request.signal.throwIfAborted();
    if (!(error instanceof LonghaulError) || !CANNOT_LOAD.includes(error.code)) throw error;
    return { result: 'no', reason: error.message };
  } finally {
    await agent.close();
  }
}

async function loaded(agent: RunningAgent, { name }: ProbeRequest, sessionId: AgentSessionId): Promise<AgentSession> {
  if (agent.resume) return agent.resume.load(sessionId, {});
  throw new LonghaulError('agent_session_lost', `${name} does not report that it can load a session.`);
}
