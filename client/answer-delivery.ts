/** Wakes the runs of hibernating tasks after their permission request was answered through any channel. */
import type { Client } from '@temporalio/client';
import { type AnsweredSleeper, answeredSleepers } from '../store/sleepers.ts';
import type { Sql } from '../store/sql.ts';
import { taskWorkflowId, WAKE_TASK } from '../contract/names.ts';
import type { WakeTask } from '../contract/task.ts';
import type { BackgroundWork } from './background-work.ts';
import { isRunMissing } from './temporal.ts';
import type { TemporalHealth } from './temporal-health.ts';

/**
 * Temporal stores each signal that it accepted. The repetition is for a run that an operator reset, because a reset may
 * lose the signal.
 */
const SIGNAL_AGAIN_MS = 10 * 60_000;
const SIGNAL_MS = 5_000;
const SIGNALS_AT_ONCE = 10;

export interface AnswerDeliveryDeps {
  readonly sql: Sql;
  readonly temporal: Client;
  readonly health: TemporalHealth;
  readonly background: BackgroundWork;
}

export class AnswerDelivery {
  readonly #deps: AnswerDeliveryDeps;
  readonly #signalledAt = new Map<string, number>();
  #running = false;
  #again = false;

  constructor(deps: AnswerDeliveryDeps) {
    this.#deps = deps;
  }

  /**
   * Starts the delivery in the background, one at a time, so that a Temporal server that hangs does not delay intake.
   * Intake does not call it in each pass, because the end of the background work starts a pass.
   */
  wakeRuns(): void {
    this.#again = true;
    if (this.#running || this.#deps.health.trouble !== undefined) return;
    this.#running = true;
    this.#deps.background.run(async () => {
      try {
        while (this.#again) {
          this.#again = false;
          await this.#wakeDue();
        }
      } catch (error) {
        this.#deps.health.handleError(error, 'tasks whose requests are answered were not woken');
      } finally {
        this.#running = false;
      }
    });
  }

  async #wakeDue(): Promise<void> {
    const { sql, health } = this.#deps;
    const now = Date.now();
    const sleepers = new Map((await answeredSleepers(sql)).map((one) => [keyOf(one), one]));
    for (const key of this.#signalledAt.keys()) if (!sleepers.has(key)) this.#signalledAt.delete(key);
    const due = [...sleepers].filter(([key]) => now - (this.#signalledAt.get(key) ?? 0) >= SIGNAL_AGAIN_MS).values();
    const wake = async (): Promise<void> => {
      for (const [key, sleeper] of due) {
        if (health.trouble !== undefined) return; // the next call wakes the others, once Temporal is available
        try {
          await this.#signal(sleeper);
          this.#signalledAt.set(key, now);
        } catch (error) {
          health.handleError(error, `task ${sleeper.taskId} was not woken`);
        }
      }
    };
    await Promise.all(Array.from({ length: SIGNALS_AT_ONCE }, wake));
  }

  /** Signals one run. A run that no longer exists is settled as any lost run is. */
  async #signal({ taskId, attempt }: AnsweredSleeper): Promise<void> {
    const { temporal } = this.#deps;
    const wake: WakeTask = { attempt };
    const handle = temporal.workflow.getHandle(taskWorkflowId(taskId));
    try {
      await temporal.withDeadline(Date.now() + SIGNAL_MS, () => handle.signal(WAKE_TASK, wake));
    } catch (error) {
      if (!isRunMissing(error)) throw error;
    }
  }
}

const keyOf = ({ taskId, attempt, runId }: AnsweredSleeper): string => `${taskId} ${attempt} ${runId}`;
