/**
 * Intake starts a run for each task row in state pending. NOTIFY wakes it, and a check every 5 s finds rows whose
 * notification was lost. Any number of intakes may serve one database, because a claim is a compare-and-set and
 * Temporal starts a workflow id only once.
 *
 * Must never happen: two tasks of a session run at once; a task waits although everything that it needs is available.
 * While Temporal is unavailable intake claims no task. The rows stay pending, can be cancelled, and start when Temporal
 * is available again.
 */
import type { Client } from '@temporalio/client';
import { messageOf } from '../contract/errors.ts';
import type { TemporalContent } from '../contract/task.ts';
import { Notifier } from '../frames/notifier.ts';
import { TASKS_CHANNEL } from '../store/channels.ts';
import { listen } from '../store/listen.ts';
import { closeEndedClaims } from '../store/queue.ts';
import type { Sql } from '../store/sql.ts';
import { BackgroundWork } from './background-work.ts';
import { AnswerDelivery } from './answer-delivery.ts';
import { CancelDelivery } from './cancel-delivery.ts';
import { settleLostRuns } from './settle-lost-runs.ts';
import { TaskStarter } from './task-starter.ts';
import { type IntakeLog, TemporalHealth } from './temporal-health.ts';

const SWEEP_MS = 5_000;
const COMPARE_RUNS_MS = 60_000;
/**
 * Delay between the notification of a cancel request and intake's signal. Within this time the process that stored the
 * request signals the run itself.
 */
const CANCEL_GRACE_MS = 1_100;
/**
 * After a stop, calls to Temporal that have had no response for this long are cancelled. If such a call has started a
 * run, the next start finds that run.
 */
const STOP_GRACE_MS = 500;

export interface IntakeOptions {
  readonly sql: Sql;
  readonly temporal: Client;
  /** The name of the machine that has the projects. */
  readonly host: string;
  /** Default: `full`. */
  readonly temporalContent?: TemporalContent;
  readonly log: IntakeLog;
  /**
   * When this signal is aborted, intake claims no more tasks. `ended` resolves when the tasks that are being started
   * have started.
   */
  readonly signal: AbortSignal;
}

export interface Intake {
  /** Returns why intake cannot start tasks now, or `undefined` if it can. */
  trouble(): string | undefined;
  /** Resolves when intake can start tasks for the first time, or when it has ended. */
  readonly working: Promise<void>;
  readonly ended: Promise<void>;
}

export function startIntake(options: IntakeOptions): Intake {
  const intake = new RunningIntake(options);
  const ended = intake.run();
  return { trouble: () => intake.trouble, working: Promise.race([intake.working, ended]), ended };
}

class RunningIntake {
  readonly #options: IntakeOptions;
  readonly #notifier = new Notifier();
  readonly #background: BackgroundWork;
  readonly #health: TemporalHealth;
  readonly #starter: TaskStarter;
  readonly #cancels: CancelDelivery;
  readonly #answers: AnswerDelivery;
  #postgresTrouble: string | undefined;
  #nextSweepAt = 0;
  #nextComparisonAt = 0;
  #cancelTimer: NodeJS.Timeout | undefined;

  readonly working: Promise<void>;
  #resolveWorking = (): void => {};

  constructor(options: IntakeOptions) {
    const { temporal, log } = options;
    this.#options = options;
    this.#background = new BackgroundWork(temporal, () => this.#notifier.notify());
    this.#health = new TemporalHealth(temporal, log);
    const deps = { ...options, health: this.#health, background: this.#background };
    this.#starter = new TaskStarter(deps);
    this.#cancels = new CancelDelivery(deps);
    this.#answers = new AnswerDelivery(deps);
    this.working = new Promise((resolve) => {
      this.#resolveWorking = resolve;
    });
  }

  get trouble(): string | undefined {
    return this.#postgresTrouble ?? this.#health.trouble;
  }

  async run(): Promise<void> {
    const { sql, signal } = this.#options;
    const notify = (): void => this.#notifier.notify();
    const listener = listen(sql, {
      channels: [TASKS_CHANNEL],
      onNotify: () => {
        notify();
        this.#answers.wakeRuns();
        this.#sweepAfterGrace();
      },
      onListening: notify,
    });
    signal.addEventListener('abort', notify, { once: true });
    const timer = setInterval(notify, SWEEP_MS);
    const stopped = (): boolean => signal.aborted;
    try {
      while (!stopped()) {
        this.#notifier.reset();
        const full = await this.#pass().then(
          (more) => this.#updateDatabaseHealth(undefined, more),
          (error: unknown) => this.#updateDatabaseHealth(error, false),
        );
        if (!full && !stopped()) await this.#notifier.wait();
      }
    } finally {
      clearInterval(timer);
      clearTimeout(this.#cancelTimer);
      await listener.close();
      await this.#background.finish(STOP_GRACE_MS);
    }
  }

  /** Returns true if there may be more tasks to claim. */
  async #pass(): Promise<boolean> {
    if (this.#health.trouble !== undefined) {
      this.#probe();
      await this.#cancels.endUnstarted();
      return false;
    }
    const more = await this.#starter.startNext();
    await this.#cancels.endUnstarted();
    if (Date.now() >= this.#nextSweepAt) await this.#sweep();
    return more;
  }

  #probe(): void {
    if (this.#health.isProbing) return;
    this.#background.run(async () => {
      if (!(await this.#health.probe(this.#options.signal))) return;
      this.#nextSweepAt = 0;
      this.#nextComparisonAt = 0;
    });
  }

  async #sweep(): Promise<void> {
    this.#nextSweepAt = Date.now() + SWEEP_MS;
    await this.#starter.startStale();
    this.#cancels.signalRuns();
    this.#answers.wakeRuns();
    if (Date.now() < this.#nextComparisonAt) return;
    this.#nextComparisonAt = Date.now() + COMPARE_RUNS_MS;
    if ((await closeEndedClaims(this.#options.sql)) > 0) this.#notifier.notify();
    this.#background.run(() => this.#compareWithRuns());
  }

  async #compareWithRuns(): Promise<void> {
    const { log } = this.#options;
    try {
      const count = await settleLostRuns(this.#options);
      if (count === 0) return;
      log.warn({ count }, 'tasks whose runs were closed or are unknown to Temporal are settled or get new runs');
      // The claim of a task whose run Temporal does not know was made stale, so the next sweep can take it over at
      // once.
      this.#nextSweepAt = 0;
    } catch (error) {
      this.#health.handleError(error, 'tasks were not compared with their runs');
    }
  }

  #sweepAfterGrace(): void {
    this.#cancelTimer ??= setTimeout(() => {
      this.#cancelTimer = undefined;
      this.#nextSweepAt = 0;
      this.#notifier.notify();
    }, CANCEL_GRACE_MS);
  }

  #updateDatabaseHealth(error: unknown, more: boolean): boolean {
    const { log } = this.#options;
    if (error === undefined) {
      if (this.#postgresTrouble !== undefined) log.info({}, 'Postgres is available again');
      this.#postgresTrouble = undefined;
      if (this.trouble === undefined) this.#resolveWorking();
      return more;
    }
    if (this.#postgresTrouble === undefined) log.warn({ err: error }, 'Postgres does not respond');
    this.#postgresTrouble = `Postgres does not respond: ${messageOf(error)}`;
    return false;
  }
}
