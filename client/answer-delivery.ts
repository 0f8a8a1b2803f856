/**
 * Wakes the runs of hibernating tasks when their permission requests have an answer from any channel, have expired, or
 * no longer exist.
 */
import type { Client } from '@temporalio/client';
import { type HibernationToEnd, hibernationsToEnd } from '../store/hibernations.ts';
import type { Sql } from '../store/sql.ts';
import { taskWorkflowId, WAKE_TASK } from '../contract/names.ts';
import type { WakeTask } from '../contract/task.ts';
import type { BackgroundWork } from './background-work.ts';
import { RepeatedSignals } from './repeated-signals.ts';
import { isRunMissing } from './temporal.ts';
import type { TemporalHealth } from './temporal-health.ts';

/**
 * Pause before a run is signalled again. Temporal stores each signal that it accepted, so only a run that an operator
 * has reset needs the repetition: a reset may lose the signal.
 */
const SIGNAL_AGAIN_MS = 10 * 60_000;
const SIGNAL_MS = 5_000;

export interface AnswerDeliveryDeps {
  readonly sql: Sql;
  readonly temporal: Client;
  readonly health: TemporalHealth;
  readonly background: BackgroundWork;
}

export class AnswerDelivery {
  readonly #deps: AnswerDeliveryDeps;
  readonly #signals: RepeatedSignals<HibernationToEnd>;
  #running = false;
  #again = false;

  constructor(deps: AnswerDeliveryDeps) {
    this.#deps = deps;
    this.#signals = new RepeatedSignals({
      health: deps.health,
      againMs: SIGNAL_AGAIN_MS,
      keyOf: ({ taskId, attempt, runId }) => `${taskId} ${attempt} ${runId}`,
      signal: (sleeper) => this.#signal(sleeper),
      failure: ({ taskId }) => `task ${taskId} was not woken`,
    });
  }

  /**
   * Starts the delivery in the background, one delivery at a time, so that a Temporal server that hangs does not delay
   * intake. Intake must not call this method in every pass: the end of the background work starts the next pass, so
   * intake would never pause.
   */
  wakeRuns(): void {
    this.#again = true;
    if (this.#running || this.#deps.health.trouble !== undefined) return;
    this.#running = true;
    this.#deps.background.run(async () => {
      try {
        while (this.#again) {
          this.#again = false;
          await this.#signals.send(await hibernationsToEnd(this.#deps.sql));
        }
      } catch (error) {
        this.#deps.health.handleError(error, 'tasks whose requests are answered were not woken');
      } finally {
        this.#running = false;
      }
    });
  }

  /** Signals one run. A run that no longer exists is settled like every other lost run. */
  async #signal({ taskId, attempt }: HibernationToEnd): Promise<true> {
    const { temporal } = this.#deps;
    const wake: WakeTask = { attempt };
    const handle = temporal.workflow.getHandle(taskWorkflowId(taskId));
    try {
      await temporal.withDeadline(Date.now() + SIGNAL_MS, () => handle.signal(WAKE_TASK, wake));
    } catch (error) {
      if (!isRunMissing(error)) throw error;
    }
    return true;
  }
}
