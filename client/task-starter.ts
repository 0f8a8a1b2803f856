/**
 * Starts the runs of claimed tasks, several at a time. If a claim led to no run, it is released, or another process
 * takes it over when it is stale.
 */
import { shorten } from '../contract/cut-text.ts';
import { messageOf } from '../contract/errors.ts';
import { type ClaimedTask, claimTasks, releaseClaim, storeRun, takeStaleClaims } from '../store/queue.ts';
import type { Sql } from '../store/sql.ts';
import { failUnstarted } from '../store/tasks.ts';
import type { Client } from '@temporalio/client';
import type { BackgroundWork } from './background-work.ts';
import { type RunOptions, startRun } from './start-run.ts';
import { isRefusedByTemporal, isTemporalUnavailable } from './temporal.ts';
import type { IntakeLog, TemporalHealth } from './temporal-health.ts';

const STARTS_AT_ONCE = 10;

export interface TaskStarterDeps extends RunOptions {
  readonly sql: Sql;
  readonly temporal: Client;
  readonly log: IntakeLog;
  readonly health: TemporalHealth;
  readonly background: BackgroundWork;
}

export class TaskStarter {
  readonly #deps: TaskStarterDeps;
  #starting = 0;

  constructor(deps: TaskStarterDeps) {
    this.#deps = deps;
  }

  /** Claims tasks that may start, and starts them. Returns true if there may be more to claim. */
  async startNext(): Promise<boolean> {
    const room = STARTS_AT_ONCE - this.#starting;
    const claimed = room > 0 ? await claimTasks(this.#deps.sql, room) : [];
    for (const task of claimed) this.#start(task);
    return room > 0 && claimed.length === room;
  }

  /** Takes over the stale claims of other processes, and starts their tasks. */
  async startStale(): Promise<void> {
    const room = STARTS_AT_ONCE - this.#starting;
    if (room > 0) for (const task of await takeStaleClaims(this.#deps.sql, room)) this.#start(task);
  }

  #start(task: ClaimedTask): void {
    const { sql, temporal, log, health, background } = this.#deps;
    this.#starting += 1;
    background.run(async () => {
      try {
        const runId = await startRun(temporal, task, this.#deps);
        await storeRun(sql, task.id, runId);
        log.info({ task_id: task.id, run_id: runId }, 'task started');
      } catch (error) {
        health.handleError(error, `task ${task.id} was not started`);
        await this.#giveBack(task, error);
      } finally {
        this.#starting -= 1;
      }
    });
  }

  /**
   * Releases the claim of a task whose start failed. A call whose response was lost may still have started the run.
   * That is harmless, because the run's first step claims the row again or finds it ended, and the next start finds the
   * run. A claim that cannot be released now becomes stale.
   */
  async #giveBack(task: ClaimedTask, error: unknown): Promise<void> {
    const { sql, health } = this.#deps;
    try {
      if (isTemporalUnavailable(error)) await releaseClaim(sql, task.id);
      else if (isRefusedByTemporal(error)) await this.#refuse(task, error);
    } catch (failure) {
      health.handleError(failure, `the claim of task ${task.id} was not released`);
    }
  }

  async #refuse(task: ClaimedTask, error: unknown): Promise<void> {
    const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
    const summary = shorten(`Temporal refuses to start this task: ${messageOf(cause)}`, 500);
    await this.#deps.sql.begin((tx) => failUnstarted(tx, { taskId: task.id, code: 'internal_error', summary }));
  }
}
