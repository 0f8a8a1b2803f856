/**
 * Starts an agent and opens the session for the prompt. If an earlier attempt of the turn has left an agent session,
 * that session is opened. Otherwise the conversation that the session's earlier tasks had with this agent is opened, or
 * else a new agent session.
 *
 * Must never happen: an agent is prompted that does not know its own edits in the worktree, or that knows edits which
 * the worktree lost when it was created again; a conversation is replaced by another without a warning.
 */
import type { AgentSession, OpenAgent, RunningAgent, SessionChoices } from '../agents/driver.ts';
import type { AgentLaunch } from '../agents/launch/launch.ts';
import { resumePrompt } from '../agents/resume.ts';
import type { EarlierAttempt } from '../store/attempts.ts';
import type { TurnTask } from '../store/turn-task.ts';
import type { AgentSessionId } from '../contract/ids.ts';
import { LonghaulError } from '../contract/errors.ts';
import { canResume } from './can-resume.ts';
import type { TurnRecorder } from './recorder.ts';
import type { TaskFolder } from './task-folder.ts';
import type { TurnContext } from './turn-context.ts';

export interface AgentStart
  extends TurnContext, Pick<OpenAgent, 'onSpawn' | 'onEvent' | 'onPermission' | 'onElicitation' | 'offersElicitation'> {
  readonly launch: AgentLaunch;
  readonly folder: TaskFolder;
  readonly recorder: TurnRecorder;
  /** The titles of the tool calls that an earlier attempt left open. */
  readonly cutOff: readonly string[];
}

interface AgentInSession {
  readonly agent: RunningAgent;
  readonly session: AgentSession;
}

export interface ReadyAgent extends AgentInSession {
  readonly prompt: string;
}

/** Returns the running agent with its session and the prompt to send. The prompt is not sent yet. */
export async function readyAgent(start: AgentStart): Promise<ReadyAgent> {
  const { input } = start.task;
  const { folder } = start;
  if (folder.kind === 'worktree') start.deps.worktrees.refuseReplaced(folder.path);
  const { earlier, conversation } = start.taken;
  const worked = earlier.filter((attempt) => attempt.spawned_at !== null);
  const last = worked.findLast((attempt) => attempt.agent_session_id !== null);
  const known = last?.agent_session_id;
  const filesAreGone = last !== undefined && isElsewhere(start, last);
  const resumed = known && !filesAreGone ? await resume(start, known) : undefined;
  if (resumed) return { ...resumed, prompt: resumePrompt(input, start.cutOff) };
  // The worktree is reset before any agent starts. The reset replaces the worktree's folder, so a process that runs in
  // the old folder would lose it.
  if (worked.length > 0) await startOver(start, filesAreGone ? FILES_GONE : CANNOT_LOAD);
  else if (folderNow(start) === 'none') await remakeWorktree(start);
  // If an earlier attempt of the turn has left an agent session, that session either continues the conversation or was
  // created because the conversation was lost. In both cases the conversation is not loaded again.
  if (conversation && !known) return { ...(await continueConversation(start, conversation)), prompt: input };
  if (known && known === conversation) warnOfLostConversation(start);
  const agent = await openAgent(start);
  return { agent, session: await agent.newSession(choicesOf(start.task)), prompt: input };
}

const CANNOT_LOAD = 'the turn was interrupted and the agent cannot load its session';
const FILES_GONE = "the turn was interrupted and its worktree was removed: the agent's edits are lost";

/** Returns the id of the task's folder. Undefined: the id is not known, or the folder is a scratch folder. */
const folderNow = ({ deps, folder }: AgentStart): string | undefined =>
  folder.kind === 'worktree' ? deps.worktrees.folderAt(folder.path) : undefined;

/** Returns whether the folder in which the earlier attempt worked no longer exists. False if that is not known. */
function isElsewhere(start: AgentStart, { worktree }: EarlierAttempt): boolean {
  const now = folderNow(start);
  return now === 'none' || (worktree !== null && now !== undefined && now !== worktree);
}

/** Resumes the turn's agent session. Undefined: the agent could not load the session, and was ended. */
async function resume(start: AgentStart, known: AgentSessionId): Promise<AgentInSession | undefined> {
  const agent = await openAgent(start);
  try {
    const session = canResume(start.task, agent) ? await agent.resume?.load(known, choicesOf(start.task)) : undefined;
    if (session) return { agent, session };
  } catch (error) {
    if (!(error instanceof LonghaulError) || error.code !== 'agent_session_lost') {
      await agent.close();
      throw error;
    }
  }
  await agent.close();
  return undefined;
}

/**
 * Loads the conversation of the session's earlier tasks. If the agent cannot load it, a new conversation begins,
 * because otherwise each later task would fail. The new conversation uses the same process if that process still runs,
 * because some agents start slowly.
 */
async function continueConversation(start: AgentStart, conversation: AgentSessionId): Promise<AgentInSession> {
  let agent = await openAgent(start);
  try {
    const session = await agent.resume?.load(conversation, choicesOf(start.task));
    if (session) return { agent, session };
  } catch (error) {
    const cannotLoad = error instanceof LonghaulError && error.facts.origin === 'agent' && !start.signal.aborted;
    if (!cannotLoad || error.code !== 'agent_session_lost') await agent.close();
    if (!cannotLoad) throw error;
    if (error.code !== 'agent_session_lost') agent = await openAgent(start);
  }
  warnOfLostConversation(start);
  return { agent, session: await agent.newSession(choicesOf(start.task)) };
}

function warnOfLostConversation({ launch, recorder }: AgentStart): void {
  const message =
    `${launch.name} could not continue the session's earlier conversation: ` +
    'it starts a new one and knows the files only.';
  recorder.record({ kind: 'warning', message });
}

async function startOver(start: AgentStart, why: string): Promise<void> {
  start.recorder.startOver(why);
  await remakeWorktree(start);
}

/** Creates the worktree again from its base, even if it was removed before any agent worked in it. */
async function remakeWorktree({ deps, folder, stream }: AgentStart): Promise<void> {
  // The flush checks the fence, because an outdated attempt must not change the worktree of a newer one.
  await stream.flush();
  if (folder.kind === 'worktree') await deps.worktrees.reset({ worktreePath: folder.path, base: folder.base });
}

function openAgent(start: AgentStart): Promise<RunningAgent> {
  const { deps, task, folder, launch, signal, onSpawn, onEvent, onPermission, onElicitation } = start;
  return deps.agents.open({
    launch,
    taskId: task.id,
    cwd: folder.path,
    env: deps.env,
    timeouts: deps.agentTimeouts,
    signal,
    onSpawn,
    onEvent,
    onPermission,
    ...(onElicitation && { onElicitation }),
    offersElicitation: start.offersElicitation === true,
  });
}

function choicesOf({ model, mode_id: modeId, thinking_option_id: thinkingOptionId }: TurnTask): SessionChoices {
  return {
    ...(model ? { model } : {}),
    ...(modeId ? { modeId } : {}),
    ...(thinkingOptionId ? { thinkingOptionId } : {}),
  };
}
