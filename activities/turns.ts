/** The turns that live in this worker process, by task. At most one a task. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { TaskId } from '../contract/ids.ts';
import type { DispatchHeartbeat, DispatchResult } from '../contract/steps.ts';
import type { AgentProgress } from '../contract/task.ts';

/** A question to a database that does not answer must not keep the next one, on another connection, from being asked. */
const HUNG_AFTER_MS = 30_000;

/** Why a turn is stopped. Only `cancel` is a person's wish. */
export type StopReason = 'cancel' | 'shutdown' | 'abandoned' | 'closing';

export interface LiveTurn {
  readonly taskId: TaskId;
  /** Of the newest attempt that supervises this turn. */
  readonly attempt: number;
  /** Settles when the agent is gone and what can be written is written. Rejects for what a retry may mend. */
  readonly result: Promise<DispatchResult>;
  progress(): AgentProgress;
  heartbeat(): DispatchHeartbeat;
  /** Asks the turn to end and resolves when its agent is gone. */
  stop(reason: StopReason): Promise<void>;
  adopt(attempt: number): void;
  /** Calls back when the agent's process is there and at each change of phase; returns how to stop that. */
  onProgress(listener: () => void): () => void;
}

export class TurnRegistry {
  readonly #turns = new Map<TaskId, LiveTurn>();
  /** Turns that no attempt watches at the moment. */
  readonly #unwatched = new Set<LiveTurn>();
  readonly #queues = new Map<TaskId, Promise<unknown>>();

  /** Runs `work` once what was given before for this task has settled, or hangs. */
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

  /** Keeps the turn until it has settled. */
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

  /** Its attempt is over: it lives on for the next one. */
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
