/**
 * Carries out the cancel requests that are stored in task rows. It ends tasks that have not started, and signals the
 * runs of the other tasks until they end.
 */
import type { Client } from '@temporalio/client';
import { cancelsBeforeStart, cancelsToSignal } from '../store/queue.ts';
import { isConnectionLoss, type Sql } from '../store/sql.ts';
import type { TaskId } from '../contract/ids.ts';
import type { BackgroundWork } from './background-work.ts';
import { cancelBeforeStart, deliverCancel } from './cancel.ts';
import { RepeatedSignals } from './repeated-signals.ts';
import type { IntakeLog, TemporalHealth } from './temporal-health.ts';

/**
 * Pause before the signal is sent again. Temporal stores each signal that it accepted, so a rare repetition suffices.
 */
const SIGNAL_AGAIN_MS = 60_000;

export interface CancelDeliveryDeps {
  readonly sql: Sql;
  readonly temporal: Client;
  readonly log: IntakeLog;
  readonly health: TemporalHealth;
  readonly background: BackgroundWork;
}

export class CancelDelivery {
  readonly #deps: CancelDeliveryDeps;
  readonly #signals: RepeatedSignals<{ readonly id: TaskId }>;
  #signalling = false;

  constructor(deps: CancelDeliveryDeps) {
    this.#deps = deps;
    this.#signals = new RepeatedSignals({
      health: deps.health,
      againMs: SIGNAL_AGAIN_MS,
      keyOf: ({ id }) => id,
      signal: ({ id }) => deliverCancel(deps.temporal, id),
      failure: ({ id }) => `the cancel request of task ${id} was not signalled`,
    });
  }

  async endUnstarted(): Promise<void> {
    const { sql, log } = this.#deps;
    for (const { id, reason } of await cancelsBeforeStart(sql)) {
      try {
        if (await cancelBeforeStart(sql, id, reason ?? undefined)) {
          log.info({ task_id: id }, 'task cancelled before it started');
        }
      } catch (error) {
        // If one row cannot be ended, the other tasks must still be cancelled.
        if (isConnectionLoss(error)) throw error;
        log.error({ err: error, task_id: id }, 'a task was not cancelled before it started');
      }
    }
  }

  /**
   * Starts to signal the runs in the background, one delivery at a time, so that a Temporal server that hangs does not
   * delay intake.
   */
  signalRuns(): void {
    if (this.#signalling) return;
    this.#signalling = true;
    this.#deps.background.run(async () => {
      try {
        await this.#signals.send(await cancelsToSignal(this.#deps.sql));
      } catch (error) {
        this.#deps.health.handleError(error, 'cancel requests were not signalled');
      } finally {
        this.#signalling = false;
      }
    });
  }
}
