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
import type { IntakeLog, TemporalHealth } from './temporal-health.ts';

/**
 * Pause before the signal is sent again. Temporal stores each signal that it accepted, so a rare repetition suffices.
 */
const SIGNAL_AGAIN_MS = 60_000;
const SIGNALS_AT_ONCE = 10;

export interface CancelDeliveryDeps {
  readonly sql: Sql;
  readonly temporal: Client;
  readonly log: IntakeLog;
  readonly health: TemporalHealth;
  readonly background: BackgroundWork;
}

export class CancelDelivery {
  readonly #deps: CancelDeliveryDeps;
  /** The time of the last signal to each task's run. */
  readonly #signalledAt = new Map<TaskId, number>();
  #signalling = false;

  constructor(deps: CancelDeliveryDeps) {
    this.#deps = deps;
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
        await this.#signalDue();
      } catch (error) {
        this.#deps.health.handleError(error, 'cancel requests were not signalled');
      } finally {
        this.#signalling = false;
      }
    });
  }

  async #signalDue(): Promise<void> {
    const { sql, temporal, health } = this.#deps;
    const requests = await cancelsToSignal(sql);
    const now = Date.now();
    const open = new Set(requests.map(({ id }) => id));
    for (const id of this.#signalledAt.keys()) if (!open.has(id)) this.#signalledAt.delete(id);
    const due = requests.filter(({ id }) => now - (this.#signalledAt.get(id) ?? 0) >= SIGNAL_AGAIN_MS).values();
    const signal = async (): Promise<void> => {
      for (const { id } of due) {
        // The next call signals the other runs, once Temporal is available.
        if (health.trouble !== undefined) return;
        try {
          if (await deliverCancel(temporal, id)) this.#signalledAt.set(id, now);
        } catch (error) {
          health.handleError(error, `the cancel request of task ${id} was not signalled`);
        }
      }
    };
    await Promise.all(Array.from({ length: SIGNALS_AT_ONCE }, signal));
  }
}
