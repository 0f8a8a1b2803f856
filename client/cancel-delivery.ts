/**
 * Carries out cancel requests that are stored in task rows: ends tasks that have not started, and signals the runs of the
 * others until they end.
 */
import type { Client } from '@temporalio/client';
import { cancelsBeforeStart, cancelsToSignal } from '../store/queue.ts';
import { isConnectionLoss, type Sql } from '../store/sql.ts';
import type { TaskId } from '../contract/ids.ts';
import type { BackgroundWork } from './background-work.ts';
import { cancelBeforeStart, deliverCancel } from './cancel.ts';
import type { IntakeLog, TemporalHealth } from './temporal-health.ts';

/** Temporal keeps a signal that it accepted, so a repetition now and then is enough. */
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
  /** When each task's run was signalled. */
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
        // A row that cannot be ended must not delay other tasks.
        if (isConnectionLoss(error)) throw error;
        log.error({ err: error, task_id: id }, 'a task was not cancelled before it started');
      }
    }
  }

  /** In the background, once at a time: a Temporal server that hangs delays no pass of intake. */
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
        // The others are signalled once Temporal is available.
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
