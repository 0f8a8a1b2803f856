/**
 * Runs a turn's agent: from the state that an older attempt left, to the end of the prompt. Must never happen: the
 * agent still runs afterwards.
 */
import type { AgentEvent, AgentSession, RunningAgent, TurnEnd } from '../agents/driver.ts';
import { endTaskProcesses } from '../agents/process/end.ts';
import { LonghaulError } from '../contract/errors.ts';
import type { Phase } from '../contract/task.ts';
import { foldMessage } from '../frames/read-message.ts';
import type { ProcessIdentity } from '../processes/identity.ts';
import { recordAgentSession, recordRan, recordSpawn } from '../store/attempts.ts';
import type { Ran } from '../store/task-views.ts';
import { personAsker } from './ask-person.ts';
import { asksPerson, elicitationAnswers } from './elicitations.ts';
import { canResume } from './can-resume.ts';
import { permissionAnswers } from './permissions.ts';
import { readyAgent } from './ready-agent.ts';
import { TurnRecorder } from './recorder.ts';
import { folderOf, type TaskFolder } from './task-folder.ts';
import { launchFor } from './task-launch.ts';
import { recordedMessage, type TurnContext } from './turn-context.ts';
import { continuesLater } from './turn-progress.ts';

/**
 * Resolves with the end of the turn when the agent has exited. Rejects if the agent could not be started or its turn
 * must be retried.
 */
export async function runAgent(turn: TurnContext): Promise<TurnEnd> {
  const { deps, task, taken, stream, progress, hibernation } = turn;
  if (taken.earlier.length > 0) await endEarlierAgent(turn);
  const recorder = await openRecorder(turn);
  showStart(turn);
  const cutOff = recorder.closeDangling();
  const launch = launchFor(task, deps);
  const folder = folderOf(task, { worktreesDir: deps.worktreesDir, sessionId: taken.sessionId });
  progress.launch = launch;
  const asking = {
    ...turn,
    recorder,
    signal: AbortSignal.any([turn.signal, hibernation.signal]),
    enter: (phase: Phase) => progress.enter(phase),
  };
  const askPerson = personAsker(asking);
  const { agent, session, prompt } = await readyAgent({
    ...turn,
    launch,
    folder,
    recorder,
    cutOff,
    onPermission: permissionAnswers(asking, askPerson),
    onElicitation: elicitationAnswers(asking, askPerson),
    offersElicitation: await asksPerson(asking),
    onSpawn: (process) => storeSpawn(turn, process),
    onEvent: (event) => {
      hibernation.noteActivity();
      if (!isLeftOpen(turn, event)) recorder.record(event);
      return stream.room();
    },
  });
  try {
    await storeSession(turn, { agent, session, folder });
    progress.enter('working');
    hibernation.setAgent(agent, { canResume: canResume(task, agent) });
    const end = await session.prompt(prompt);
    await recordSwitch(turn, { agent, session, end });
    return end;
  } finally {
    hibernation.close();
    await agent.close();
  }
}

/** Ends the agent of a lost worker before the new agent starts, because the old one may still run and write. */
async function endEarlierAgent({ deps, task, taken }: TurnContext): Promise<void> {
  const last = taken.earlier.findLast((attempt) => attempt.pid !== null && attempt.pid_start !== null);
  const leader =
    last && last.pid !== null && last.pid_start !== null
      ? { pid: last.pid, startTime: last.pid_start, bootId: last.boot_id }
      : undefined;
  await endTaskProcesses(task.id, { home: deps.env['LONGHAUL_HOME'], leader });
}

/** Opens the recorder, which continues the message as earlier attempts left it. */
async function openRecorder({ deps, task, taken, stream, progress }: TurnContext): Promise<TurnRecorder> {
  const { earlier, sessionId } = taken;
  const of = recordedMessage(task);
  const view = earlier.length > 0 ? await foldMessage(deps.sql, { sessionId, messageId: of.message_id }) : undefined;
  const recorder = new TurnRecorder(of, (frame) => stream.append(frame), view);
  progress.recorder = recorder;
  return recorder;
}

/** Appends the frame of the attempt's start. The frame shows readers why the previous attempt ended. */
function showStart({ taken, stream, progress }: TurnContext): void {
  const last = taken.earlier.at(-1);
  const why = last?.outcome?.kind === 'waiting' ? 'usage_limit' : last?.error_code;
  const starting = { type: 'task_state', state: 'running', phase: 'starting', attempt: progress.attempt } as const;
  stream.append(why ? { ...starting, error_code: why } : starting);
}

async function storeSpawn({ deps, task, taken, progress }: TurnContext, process: ProcessIdentity): Promise<void> {
  progress.pid = process.pid;
  const stored = await recordSpawn(deps.sql, {
    taskId: task.id,
    attempt: progress.attempt,
    sessionId: taken.sessionId,
    token: taken.token,
    pid: process.pid,
    pidStart: process.startTime,
  });
  if (!stored) throw new LonghaulError('superseded', `task ${task.id}: a newer attempt runs the turn`);
  progress.enter('starting');
}

interface Opened {
  readonly agent: RunningAgent;
  readonly session: AgentSession;
  readonly folder: TaskFolder;
}

async function storeSession(turn: TurnContext, { agent, session, folder }: Opened): Promise<void> {
  const { deps, task, progress } = turn;

  progress.agentSessionId = session.id;
  await recordAgentSession(deps.sql, {
    taskId: task.id,
    attempt: progress.attempt,
    agentSessionId: session.id,
    worktree: folder.kind === 'worktree' ? deps.worktrees.folderAt(folder.path) : undefined,
    ran: ranOf(turn, agent, session),
  });
}

/**
 * Records the model, mode or thinking option to which the agent has switched during the turn. If the record cannot be
 * written, the values from the agent's start stay recorded.
 */
async function recordSwitch(
  turn: TurnContext,
  { agent, session, end }: { agent: RunningAgent; session: AgentSession; end: TurnEnd },
): Promise<void> {
  if (end.kind !== 'completed') return;
  const { deps, task, progress } = turn;
  const ran = ranOf(turn, agent, session);
  await recordRan(deps.sql, { taskId: task.id, attempt: progress.attempt, ran }).catch(() => {});
}

/**
 * Returns the agent's version, model, mode and thinking option as the agent reports them now, because the agent may
 * change its mode or model by itself.
 */
function ranOf({ task }: TurnContext, { about }: RunningAgent, session: AgentSession): Ran {
  const { model, mode, thinking } = session.offers();
  return {
    model: model?.current || null,
    mode: mode?.current || null,
    thinking: thinking?.current || null,
    // In a terminal, `about` describes Longhaul's own adapter, not the program that the adapter runs.
    agent_version: task.path === 'pty' ? null : about.version || null,
  };
}

/**
 * Returns whether a tool call stays open. A call that a shutdown or a hibernation interrupts has not failed. Such a
 * call stays open until the next attempt, whose prompt names the call.
 */
function isLeftOpen({ progress }: TurnContext, event: AgentEvent): boolean {
  return continuesLater(progress.stopReason) && event.kind === 'tool_call' && event.call.status === 'failed';
}
