/**
 * Runs one turn of an agent, from the state that an older attempt left to the turn's last transaction. The turn belongs
 * to the worker process, not to the activity that started it. If Temporal gives up on an attempt while this process is
 * healthy, the next attempt adopts the turn.
 *
 * Must never happen: an outdated attempt writes (each write is to the fenced stream or to the attempt's own row); an
 * agent still runs after its turn.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { LonghaulError } from '../contract/errors.ts';
import type { TaskId } from '../contract/ids.ts';
import type { DispatchHeartbeat, DispatchResult } from '../contract/steps.ts';
import type { AgentProgress } from '../contract/task.ts';
import type { FrameStream } from '../frames/stream.ts';
import { Hibernation } from './hibernation.ts';
import { runAgent } from './run-agent.ts';
import type { StepDeps } from './step.ts';
import type { TurnContext, TurnStart } from './turn-context.ts';
import { endTurn, failTurn, hibernate } from './turn-outcome.ts';
import { continuesLater, type StopReason, TurnProgress } from './turn-progress.ts';
import type { LiveTurn } from './turns.ts';

/** The maximum time that a stop waits for an unavailable Postgres. */
const FLUSH_TIMEOUT_MS = 5_000;

/** Starts the turn and returns at once. The `result` of the turn resolves when the turn has ended. */
export function startTurn(deps: StepDeps, start: TurnStart): LiveTurn {
  return new RunningTurn(deps, start);
}

class RunningTurn implements LiveTurn {
  readonly taskId: TaskId;
  readonly result: Promise<DispatchResult>;
  readonly #stream: FrameStream;
  readonly #progress: TurnProgress;
  readonly #abort = new AbortController();
  readonly #hibernation: Hibernation;

  constructor(deps: StepDeps, start: TurnStart) {
    const { task, taken } = start;
    this.taskId = task.id;
    this.#progress = new TurnProgress(taken.attempt);
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
    const { signal } = this.#abort;
    this.#hibernation = new Hibernation({
      afterMs: start.mayHibernate ? deps.hibernateAfterMs : undefined,
      hibernate: () => void (this.#progress.stopReason ??= 'hibernate'),
    });
    this.result = this.#run({
      ...start,
      deps,
      stream: this.#stream,
      progress: this.#progress,
      signal,
      hibernation: this.#hibernation,
    });
  }

  get attempt(): number {
    return this.#progress.attempt;
  }

  adopt(attempt: number): void {
    this.#progress.attempt = attempt;
  }

  onProgress(listener: () => void): () => void {
    return this.#progress.onEnter(listener);
  }

  async stop(reason: StopReason): Promise<void> {
    this.#progress.stopReason ??= reason;
    if (continuesLater(this.#progress.stopReason)) this.#hibernation.endWaitingAgent();
    this.#abort.abort();
    await this.result.catch(() => {});
  }

  heartbeat(): DispatchHeartbeat {
    return this.#progress.heartbeat(this.#stream.seq);
  }

  progress(): AgentProgress {
    return this.#progress.report();
  }

  async #run(turn: TurnContext): Promise<DispatchResult> {
    const { stream, progress } = turn;
    try {
      const end = await runAgent(turn);
      if (end.kind === 'stopped') throw stopped(progress.stopReason);
      return await endTurn(turn, end);
    } catch (error) {
      if (stream.lost.aborted) return await failTurn(turn, stream.lost.reason);
      if (progress.stopReason === 'hibernate') return await hibernate(turn); // the agent has been ended for this
      if (progress.stopReason !== undefined) {
        // Stores the agent's output before the closing steps revoke the fence.
        await Promise.race([stream.flush(), delay(FLUSH_TIMEOUT_MS)]).catch(() => {});
        throw stopped(progress.stopReason);
      }
      return await failTurn(turn, error);
    } finally {
      stream.close();
    }
  }
}

const stopped = (reason: StopReason | undefined): LonghaulError =>
  new LonghaulError('worker_lost', `the turn was stopped: ${reason ?? 'unknown reason'}`);
