/** The turns that run in this worker process, by task. A task has at most one turn. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { TaskId } from '../contract/ids.ts';
import type { DispatchHeartbeat, DispatchResult } from '../contract/steps.ts';
import type { AgentProgress } from '../contract/task.ts';
import type { StopReason } from './turn-progress.ts';

/**
 * The maximum time that an attempt's query blocks the next attempt. A query to a database that does not respond may
 * hang, and the next attempt queries on another connection.
 */
const HUNG_AFTER_MS = 30_000;

export interface LiveTurn {
  readonly taskId: TaskId;
  /** The number of the newest attempt that watches this turn. */
  readonly attempt: number;
  /**
   * Resolves or rejects only when the agent has exited and all possible writes are done. It rejects with a failure that
   * a retry may fix.
   */
  readonly result: Promise<DispatchResult>;
  progress(): AgentProgress;
  heartbeat(): DispatchHeartbeat;
  /** Ends the turn and resolves when its agent has exited. */
  stop(reason: StopReason): Promise<void>;
  adopt(attempt: number): void;
  /**
   * Calls `listener` when the agent's process has started and at each change of phase. Returns the function that
   * removes the listener.
   */
  onProgress(listener: () => void): () => void;
}

export class TurnRegistry {
  readonly #turns = new Map<TaskId, LiveTurn>();
  /** The turns that no attempt watches. */
  readonly #unwatched = new Set<LiveTurn>();
  readonly #queues = new Map<TaskId, Promise<unknown>>();

  /**
   * Runs `work` after the previous `work` of this task has ended, or after `HUNG_AFTER_MS` if the previous one hangs.
   */
  async inOrder<T>(taskId: TaskId, work: () => Promise<T>): Promise<T> {
    const before = this.#queues.get(taskId);
    const mine = (before === undefined ? Promise.resolve() : settledOrHung(before)).then(work);
    this.#queues.set(taskId, mine);
    try {
      return await mine;
    } finally {
      if (this.#queues.get(taskId) === mine) this.#queues.delete(taskId);
    }
  }

  get(taskId: TaskId): LiveTurn | undefined {
    return this.#turns.get(taskId);
  }

  /** Adds a turn to the registry. The turn is removed when its `result` has resolved or rejected. */
  add(turn: LiveTurn): void {
    this.#turns.set(turn.taskId, turn);
    const forget = (): void => {
      this.#unwatched.delete(turn);
      if (this.#turns.get(turn.taskId) === turn) this.#turns.delete(turn.taskId);
    };
    turn.result.then(forget, forget);
  }

  get size(): number {
    return this.#turns.size;
  }

  /** Marks a turn whose attempt is over. The turn continues for the next attempt. */
  unwatch(turn: LiveTurn): void {
    if (this.#turns.get(turn.taskId) === turn) this.#unwatched.add(turn);
  }

  adopt(turn: LiveTurn, attempt: number): void {
    this.#unwatched.delete(turn);
    turn.adopt(attempt);
  }

  get hasUnwatched(): boolean {
    return this.#unwatched.size > 0;
  }

  async stop(taskId: TaskId, reason: StopReason): Promise<void> {
    await this.#turns.get(taskId)?.stop(reason);
  }

  async stopAll(reason: StopReason): Promise<void> {
    await Promise.all([...this.#turns.values()].map((turn) => turn.stop(reason)));
  }
}

async function settledOrHung(work: Promise<unknown>): Promise<void> {
  const settled = new AbortController();
  const bound = sleep(HUNG_AFTER_MS, undefined, { signal: settled.signal });
  await Promise.race([work, bound]).catch(() => {});
  settled.abort();
  await bound.catch(() => {});
}
