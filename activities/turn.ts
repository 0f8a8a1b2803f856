/**
 * One turn of an agent, from the state that an older attempt left to the last transaction. The turn belongs to the worker
 * process, not to the activity that started it: if Temporal gives up on an attempt while this process is healthy, the next
 * attempt adopts the turn.
 *
 * Must never happen: a write of an outdated attempt (every write is to the fenced stream or to the attempt's own row); an
 * agent that still runs after its turn.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { AgentEvent, TurnEnd } from '../agents/driver.ts';
import type { AgentLaunch } from '../agents/launch/launch.ts';
import { endTask } from '../agents/process/end.ts';
import { foldMessage } from '../frames/read-message.ts';
import type { FrameStream } from '../frames/stream.ts';
import type { ProcessIdentity } from '../processes/identity.ts';
import {
  type EarlierAttempt,
  failuresBefore,
  recordAgentSession,
  recordAttemptFailure,
  recordOutcome,
  recordSpawn,
  tokensReportedIn,
  type TakenTurn,
} from '../store/attempts.ts';
import { isConnectionLoss } from '../store/sql.ts';
import type { TurnTask } from '../store/turn-task.ts';
import type { AgentSessionId } from '../contract/ids.ts';
import type { DispatchHeartbeat, DispatchResult } from '../contract/steps.ts';
import type { AgentProgress, Phase } from '../contract/task.ts';
import { ERRORS, LonghaulError } from '../contract/errors.ts';
import { permissionAnswers } from './permissions.ts';
import { keepMessage } from './keep-message.ts';
import { waitUntil } from './limit-wait.ts';
import { readyAgent } from './ready-agent.ts';
import { type RecordedMessage, TurnRecorder } from './recorder.ts';
import { pauseBeforeRetry, turnFailure, UNCOUNTED } from './retry-budget.ts';
import { retryIn, type StepDeps } from './step.ts';
import { folderOf } from './task-folder.ts';
import { progressOf } from './turn-progress.ts';
import type { LiveTurn, StopReason } from './turns.ts';

/** The maximum time that a stop waits for an unavailable Postgres. */
const FLUSH_BOUND_MS = 5_000;

export type Taken = Extract<TakenTurn, { kind: 'taken' }>;
type FailedEnd = Extract<TurnEnd, { kind: 'failed' }>;

export interface TurnStart {
  readonly task: TurnTask;
  readonly taken: Taken;
  /** The task may wait for a usage limit whose end is known. */
  readonly mayWait: boolean;
}

export function startTurn(deps: StepDeps, start: TurnStart): LiveTurn {
  return new RunningTurn(deps, start);
}

class RunningTurn implements LiveTurn {
  readonly #deps: StepDeps;
  readonly #task: TurnTask;
  readonly #taken: Taken;
  readonly #mayWait: boolean;
  readonly #stream: FrameStream;
  readonly #abort = new AbortController();
  readonly result: Promise<DispatchResult>;
  attempt: number;
  #stopReason: StopReason | undefined;
  #phase: Phase = 'starting';
  readonly #listeners = new Set<() => void>();
  #recorder: TurnRecorder | undefined;
  #launch: AgentLaunch | undefined;
  #agentSessionId: AgentSessionId | undefined;
  #pid: number | undefined;

  constructor(deps: StepDeps, { task, taken, mayWait }: TurnStart) {
    this.#deps = deps;
    this.#task = task;
    this.#taken = taken;
    this.#mayWait = mayWait;
    this.attempt = taken.attempt;
    this.#stream = deps.frames.open({
      sessionId: taken.sessionId,
      taskId: task.id,
      token: taken.token,
      written: 0,
      seq: taken.seq,
    });
    this.#stream.lost.addEventListener('abort', () => {
      const { message } = this.#stream.lost.reason as LonghaulError;
      deps.log.warn({ task_id: task.id, attempt: this.attempt }, `a turn cannot write to its log: ${message}`);
      this.#abort.abort();
    });
    this.result = this.#run();
  }

  get taskId(): TurnTask['id'] {
    return this.#task.id;
  }

  get #message(): RecordedMessage {
    return { message_id: this.#task.message_id, chat_id: this.#task.chat_id };
  }

  adopt(attempt: number): void {
    this.attempt = attempt;
  }

  onProgress(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  #enter(phase: Phase): void {
    this.#phase = phase;
    for (const listener of this.#listeners) listener();
  }

  async stop(reason: StopReason): Promise<void> {
    this.#stopReason ??= reason;
    this.#abort.abort();
    await this.result.catch(() => {});
  }

  heartbeat(): DispatchHeartbeat {
    return {
      attempt: this.attempt,
      seq: String(this.#stream.seq),
      phase: this.#phase,
      ...(this.#agentSessionId ? { agent_session_id: this.#agentSessionId } : {}),
      ...(this.#pid ? { pid: this.#pid } : {}),
    };
  }

  progress(): AgentProgress {
    return progressOf(this.attempt, this.#phase, this.#recorder);
  }

  async #run(): Promise<DispatchResult> {
    try {
      const end = await this.#runAgent();
      if (end.kind === 'stopped') throw this.#stopped();
      return end.kind === 'failed' ? await this.#endedBadly(end) : await this.#finish(end);
    } catch (error) {
      if (this.#stream.lost.aborted) return await this.#failed(this.#stream.lost.reason);
      if (this.#stopReason !== undefined) {
        // Stores the agent's output before the closing steps revoke the fence.
        await Promise.race([this.#stream.flush(), delay(FLUSH_BOUND_MS)]).catch(() => {});
        throw this.#stopped();
      }
      return await this.#failed(error);
    } finally {
      this.#stream.close();
    }
  }

  async #runAgent(): Promise<TurnEnd> {
    const { earlier, sessionId } = this.#taken;
    if (earlier.length > 0) await this.#endEarlier(earlier);
    const of = this.#message;
    const inLog = { sessionId, messageId: of.message_id };
    const view = earlier.length > 0 ? await foldMessage(this.#deps.sql, inLog) : undefined;
    const recorder = new TurnRecorder(of, (frame) => this.#stream.append(frame), view);
    this.#recorder = recorder;
    const last = earlier.at(-1);
    const why = last?.outcome?.kind === 'waiting' ? 'usage_limit' : last?.error_code;
    const starting = { type: 'task_state', state: 'running', phase: 'starting', attempt: this.attempt } as const;
    // The frame shows readers why the previous attempt ended.
    this.#stream.append(why ? { ...starting, error_code: why } : starting);
    const cutOff = recorder.closeDangling();
    const launch = launchOf(this.#deps, this.#task);
    const folder = folderOf(this.#task, { worktreesDir: this.#deps.worktreesDir, sessionId });
    this.#launch = launch;
    const { agent, session, prompt } = await readyAgent({
      deps: this.#deps,
      task: this.#task,
      launch,
      folder,
      taken: this.#taken,
      stream: this.#stream,
      recorder,
      cutOff,
      signal: this.#abort.signal,
      onPermission: permissionAnswers({
        deps: this.#deps,
        task: this.#task,
        taken: this.#taken,
        stream: this.#stream,
        recorder,
        signal: this.#abort.signal,
        enter: (phase) => this.#enter(phase),
      }),
      onSpawn: (process) => this.#recordSpawn(process),
      onEvent: (event) => {
        if (!this.#isLeftOpen(event)) recorder.record(event);
        return this.#stream.room();
      },
    });
    try {
      this.#agentSessionId = session.id;
      await recordAgentSession(this.#deps.sql, {
        taskId: this.taskId,
        attempt: this.attempt,
        agentSessionId: session.id,
        worktree: folder.kind === 'worktree' ? this.#deps.worktrees.folderAt(folder.path) : undefined,
      });
      this.#enter('working');
      return await session.prompt(prompt);
    } finally {
      await agent.close();
    }
  }

  /** Ends the agent of a lost worker before this one begins, because it may still run and write. */
  async #endEarlier(earlier: readonly EarlierAttempt[]): Promise<void> {
    const last = earlier.findLast((attempt) => attempt.pid !== null && attempt.pid_start !== null);
    const leader =
      last && last.pid !== null && last.pid_start !== null
        ? { pid: last.pid, startTime: last.pid_start, bootId: last.boot_id }
        : undefined;
    await endTask(this.taskId, { home: this.#deps.env['LONGHAUL_HOME'], leader });
  }

  async #recordSpawn(process: ProcessIdentity): Promise<void> {
    this.#pid = process.pid;
    const stored = await recordSpawn(this.#deps.sql, {
      taskId: this.taskId,
      attempt: this.attempt,
      sessionId: this.#taken.sessionId,
      token: this.#taken.token,
      pid: process.pid,
      pidStart: process.startTime,
    });
    if (!stored) throw new LonghaulError('superseded', `task ${this.taskId}: a newer attempt has the turn`);
    this.#enter('starting');
  }

  /** A tool call that a shutdown interrupts has not failed. It remains open until the next attempt, whose prompt names it. */
  #isLeftOpen(event: AgentEvent): boolean {
    const continues = this.#stopReason === 'shutdown' || this.#stopReason === 'abandoned';
    return continues && event.kind === 'tool_call' && event.call.status === 'failed';
  }

  /** The agent is alive and has reported why the turn did not complete. */
  async #endedBadly(end: FailedEnd): Promise<DispatchResult> {
    const waits = this.#taken.earlier.filter(({ outcome }) => outcome?.kind === 'waiting').length;
    const { resetsAt } = end;
    const until = resetsAt && this.#mayWait ? waitUntil({ resetsAt, now: new Date(), waits }) : undefined;
    if (until) return this.#waitForLimit(end, until);
    if (ERRORS[end.code].retryable) throw new LonghaulError(end.code, end.message);
    return this.#finish(end);
  }

  /** The message remains open and the worktree unchanged. The next attempt continues from there. */
  async #waitForLimit({ message }: FailedEnd, until: Date): Promise<DispatchResult> {
    const outcome: DispatchResult = { kind: 'waiting', until: until.toISOString(), attempt: this.attempt };
    const warning = `${message} The task waits and continues by itself at ${outcome.until}.`;
    this.#recorder?.closeDangling();
    await this.#stream.commit([{ type: 'warning', message: warning }], (tx) =>
      recordOutcome(tx, { taskId: this.taskId, attempt: this.attempt, outcome }),
    );
    return outcome;
  }

  async #finish(end: Exclude<TurnEnd, { kind: 'stopped' }>): Promise<DispatchResult> {
    if (end.kind === 'completed' && end.usage) this.#recorder?.record({ kind: 'usage', usage: end.usage });
    this.#recorder?.closeDangling();
    const outcome: DispatchResult =
      end.kind === 'completed'
        ? { kind: 'completed', attempt: this.attempt }
        : { kind: 'failed', code: end.code, message: end.message, attempt: this.attempt };
    const status = end.kind === 'completed' ? 'complete' : 'failed';
    const of = this.#message;
    const tokensReported = this.#recorder?.tokens;
    const message = {
      sessionId: this.#taken.sessionId,
      messageId: of.message_id,
      status,
      recorder: this.#recorder,
      tokensUsed: await this.#tokensOfTurn(tokensReported),
    } as const;
    await this.#stream.commit([{ type: 'message_complete', ...of, status }], async (tx) => {
      await keepMessage(tx, message);
      await recordOutcome(tx, { taskId: this.taskId, attempt: this.attempt, outcome, tokensReported });
    });
    return outcome;
  }

  /**
   * Returns the tokens of this turn. If the agent reports a total of its session, the total of the earlier turns is
   * subtracted. A number below that total is a count of this turn.
   */
  async #tokensOfTurn(reported: number | undefined): Promise<number | undefined> {
    const id = this.#agentSessionId;
    if (reported === undefined || id === undefined || this.#launch?.usageOf !== 'session') return reported;
    const before = await tokensReportedIn(this.#deps.sql, { agentSessionId: id, taskId: this.taskId });
    return reported >= before ? reported - before : reported;
  }

  /** Throws a failure that a retry may fix, a limited number of times. Any other failure ends the turn. */
  async #failed(error: unknown): Promise<DispatchResult> {
    if (isConnectionLoss(error)) throw error; // a lost database connection is no failure of the turn
    const failure = turnFailure(error);
    const { code } = failure;
    if (code === 'superseded') throw failure;
    const lost = this.#stream.lost.aborted;
    const of = { taskId: this.taskId, attempt: this.attempt };
    const before = await failuresBefore(this.#deps.sql, { ...of, uncounted: UNCOUNTED });
    const pauseMs = pauseBeforeRetry(code, before);
    if (pauseMs !== undefined) {
      if (!lost) await this.#stream.flush();
      await recordAttemptFailure(this.#deps.sql, { ...of, code });
      throw retryIn(pauseMs, failure);
    }
    const message =
      before.count === 0 ? failure.message : `${before.count + 1} attempts failed. The last: ${failure.message}`;
    if (!lost) return this.#finish({ kind: 'failed', code, message });
    // The log refuses this turn's output, so only the outcome is recorded. The finish step completes the message.
    const outcome: DispatchResult = { kind: 'failed', code, message, attempt: this.attempt };
    await recordOutcome(this.#deps.sql, { taskId: this.taskId, attempt: this.attempt, outcome });
    return outcome;
  }

  #stopped(): LonghaulError {
    return new LonghaulError('worker_lost', `the turn was stopped: ${this.#stopReason ?? 'unknown reason'}`);
  }
}

function launchOf({ agents, env }: StepDeps, task: TurnTask): AgentLaunch {
  const { path, agent, install_path: installPath, worktree_path: worktree } = task;
  if (path !== 'native') return agents.launch({ path, env, agent: { name: agent, installPath } });
  return agents.launch({ path, env, answersOnly: worktree === null, unlisted: agent || undefined });
}
