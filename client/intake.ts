/**
 * Intake: rows with state pending become runs. NOTIFY wakes it, a sweep catches what the notice missed. Any number of
 * intakes may serve one database: a claim is a compare-and-set, and the workflow id starts once.
 *
 * Must never happen: two tasks of a session at once; a task that waits although everything it needs is there.
 * While Temporal is away nothing is claimed: rows stay pending, can be cancelled, and start when it is back.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { Client } from '@temporalio/client';
import { TASKS_CHANNEL } from '../store/channels.ts';
import { listen, type Listener } from '../store/listen.ts';
import {
  cancelsBeforeStart,
  cancelsToSignal,
  type ClaimedTask,
  claimTasks,
  closeEndedClaims,
  failUnstarted,
  releaseClaim,
  storeRun,
  takeStaleClaims,
} from '../store/queue.ts';
import { isConnectionLoss, type Sql } from '../store/sql.ts';
import type { TaskId } from '../contract/ids.ts';
import type { TemporalContent } from '../contract/task.ts';
import { shorten } from '../contract/cut-text.ts';
import { cancelBeforeStart, deliverCancel, sayEnded } from './cancel.ts';
import { Doorbell } from './doorbell.ts';
import { settleLostRuns } from './settle-lost-runs.ts';
import { startRun } from './start-run.ts';
import { isRefusedByTemporal, isTemporalAway, plainly, probeTemporal } from './temporal.ts';
import { messageOf } from '../contract/errors.ts';

const SWEEP_MS = 5_000;
const AUTHORITY_MS = 60_000;
/** After a wish to cancel was noticed: whoever wrote it has had the time to signal it himself. */
const CANCEL_LOOK_MS = 1_100;
/** A signal that Temporal took is durable; one more now and then costs little. */
const CANCEL_AGAIN_MS = 60_000;
const STARTS_AT_ONCE = 10;
const SIGNALS_AT_ONCE = 10;
/** After a stop: what Temporal has not answered by then is given up. A start without its answer does no harm. */
const STOP_GRACE_MS = 500;
const PROBE_MS = 2_000;
const PROBE_EVERY_MS = 1_000;

export interface IntakeLog {
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

export interface IntakeOptions {
  readonly sql: Sql;
  readonly temporal: Client;
  /** The machine that has the projects. */
  readonly host: string;
  /** Default: full. */
  readonly temporalContent?: TemporalContent;
  readonly log: IntakeLog;
  /** Aborted: no task is claimed any more; `ended` resolves when those being started are done. */
  readonly signal: AbortSignal;
}

export interface Intake {
  /** What keeps it from starting tasks now; `undefined`: nothing. */
  trouble(): string | undefined;
  /** Resolves when it can start tasks for the first time, or has ended. */
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
  readonly #doorbell = new Doorbell();
  readonly #background = new Set<Promise<void>>();
  readonly #signalled = new Map<TaskId, number>();
  readonly #giveUp = new AbortController();
  #signalling = false;
  #starts = 0;
  #temporalTrouble: string | undefined = 'Temporal was not asked yet';
  #postgresTrouble: string | undefined;
  #probing = false;
  #nextSweepAt = 0;
  #nextAuthorityAt = 0;
  #cancelTimer: NodeJS.Timeout | undefined;

  readonly working: Promise<void>;
  #works = (): void => {};

  constructor(options: IntakeOptions) {
    this.#options = options;
    this.working = new Promise((resolve) => {
      this.#works = resolve;
    });
  }

  get trouble(): string | undefined {
    return this.#postgresTrouble ?? this.#temporalTrouble;
  }

  async run(): Promise<void> {
    const { sql, signal } = this.#options;
    const timers: NodeJS.Timeout[] = [];
    const ring = (): void => this.#doorbell.ring();
    const listener: Listener = listen(sql, {
      channels: [TASKS_CHANNEL],
      onNotify: () => {
        ring();
        this.#lookAtCancelsSoon();
      },
      onListening: ring,
    });
    signal.addEventListener('abort', ring, { once: true });
    timers.push(setInterval(ring, SWEEP_MS));
    const stopped = (): boolean => signal.aborted;
    try {
      while (!stopped()) {
        const full = await this.#pass().then(
          (more) => this.#postgresIs(undefined, more),
          (error: unknown) => this.#postgresIs(error, false),
        );
        if (!full) await this.#doorbell.wait();
      }
    } finally {
      for (const timer of timers) clearInterval(timer);
      clearTimeout(this.#cancelTimer);
      await listener.close();
      const giveUp = setTimeout(() => this.#giveUp.abort(), STOP_GRACE_MS);
      await Promise.all(this.#background);
      clearTimeout(giveUp);
    }
  }

  /** True: there may be more to claim at once. */
  async #pass(): Promise<boolean> {
    const { sql } = this.#options;
    if (this.#temporalTrouble !== undefined) {
      this.#probe();
      await this.#cancelWhatHasNotStarted();
      return false;
    }
    const room = STARTS_AT_ONCE - this.#starts;
    const claimed = room > 0 ? await claimTasks(sql, room) : [];
    for (const task of claimed) this.#start(task);
    await this.#cancelWhatHasNotStarted();
    if (Date.now() >= this.#nextSweepAt) await this.#sweep();
    return room > 0 && claimed.length === room;
  }

  async #sweep(): Promise<void> {
    const { sql } = this.#options;
    this.#nextSweepAt = Date.now() + SWEEP_MS;
    const room = STARTS_AT_ONCE - this.#starts;
    if (room > 0) for (const task of await takeStaleClaims(sql, room)) this.#start(task);
    this.#signalCancels();
    if (Date.now() < this.#nextAuthorityAt) return;
    this.#nextAuthorityAt = Date.now() + AUTHORITY_MS;
    if ((await closeEndedClaims(sql)) > 0) this.#doorbell.ring();
    this.#track(() =>
      settleLostRuns(this.#options).then(
        (count) => count > 0 && this.#broughtOn(count),
        (error: unknown) => this.#hear(error, 'could not compare tasks with their runs'),
      ),
    );
  }

  /** The claim of a forgotten run is stale now: the next sweep takes it. */
  #broughtOn(count: number): void {
    this.#options.log.warn({ count }, 'tasks whose runs were closed or forgotten are brought on');
    this.#nextSweepAt = 0;
  }

  #start(task: ClaimedTask): void {
    const { sql, temporal, log } = this.#options;
    this.#starts += 1;
    this.#track(async () => {
      try {
        const runId = await startRun(temporal, task, this.#options);
        await storeRun(sql, task.id, runId);
        log.info({ task_id: task.id, run_id: runId }, 'task started');
      } catch (error) {
        this.#hear(error, `task ${task.id} could not be started`);
        await this.#giveBack(task, error);
      } finally {
        this.#starts -= 1;
      }
    });
  }

  /**
   * A call whose answer was lost may have made the run. That does no harm: its first step claims the row again, or finds
   * it ended; and the next start is told that the run is there. What cannot be given back now becomes a stale claim.
   */
  async #giveBack(task: ClaimedTask, error: unknown): Promise<void> {
    const { sql } = this.#options;
    try {
      if (isTemporalAway(error)) await releaseClaim(sql, task.id);
      else if (isRefusedByTemporal(error)) await this.#refuse(task, error);
    } catch (failure) {
      this.#hear(failure, `task ${task.id} could not be given back`);
    }
  }

  async #refuse(task: ClaimedTask, error: unknown): Promise<void> {
    const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
    const summary = shorten(`Temporal refuses to start this task: ${messageOf(cause)}`, 500);
    await this.#options.sql.begin(async (tx) => {
      const ended = await failUnstarted(tx, { taskId: task.id, code: 'internal_error', summary });
      if (ended) await sayEnded(tx, { taskId: task.id, ended, state: 'failed', summary });
    });
  }

  /** Work that `ended` waits for. It must not reject. */
  #track(work: () => Promise<unknown>): void {
    const { temporal } = this.#options;
    const tracked = temporal
      .withAbortSignal(this.#giveUp.signal, work)
      .then(() => undefined)
      .finally(() => {
        this.#background.delete(tracked);
        this.#doorbell.ring();
      });
    this.#background.add(tracked);
  }

  async #cancelWhatHasNotStarted(): Promise<void> {
    const { sql, log } = this.#options;
    for (const wish of await cancelsBeforeStart(sql)) {
      try {
        if (await cancelBeforeStart(sql, wish.id, wish.reason ?? undefined)) {
          log.info({ task_id: wish.id }, 'task cancelled before it started');
        }
      } catch (error) {
        // One row that cannot be ended keeps no other task from anything.
        if (isConnectionLoss(error)) throw error;
        log.error({ err: error, task_id: wish.id }, 'a task could not be cancelled before it started');
      }
    }
  }

  #lookAtCancelsSoon(): void {
    this.#cancelTimer ??= setTimeout(() => {
      this.#cancelTimer = undefined;
      this.#nextSweepAt = 0;
      this.#doorbell.ring();
    }, CANCEL_LOOK_MS);
  }

  /** Beside the passes, one such look at a time: a Temporal that hangs keeps no pass. */
  #signalCancels(): void {
    if (this.#signalling) return;
    this.#signalling = true;
    this.#track(async () => {
      try {
        await this.#signalWishes();
      } catch (error) {
        this.#hear(error, 'wishes to cancel could not be signalled');
      } finally {
        this.#signalling = false;
      }
    });
  }

  async #signalWishes(): Promise<void> {
    const { sql, temporal } = this.#options;
    const wishes = await cancelsToSignal(sql);
    const now = Date.now();
    const open = new Set(wishes.map((wish) => wish.id));
    for (const id of this.#signalled.keys()) if (!open.has(id)) this.#signalled.delete(id);
    const due = wishes.filter(({ id }) => now - (this.#signalled.get(id) ?? 0) >= CANCEL_AGAIN_MS).values();
    const signal = async (): Promise<void> => {
      for (const { id } of due) {
        // Those that are left are signalled once it answers.
        if (this.#temporalTrouble !== undefined) return;
        try {
          if (await deliverCancel(temporal, id)) this.#signalled.set(id, now);
        } catch (error) {
          this.#hear(error, `the wish to cancel task ${id} could not be signalled`);
        }
      }
    };
    await Promise.all(Array.from({ length: SIGNALS_AT_ONCE }, signal));
  }

  /** One probe at a time, until Temporal answers. */
  #probe(): void {
    if (this.#probing) return;
    const { temporal, log, signal } = this.#options;
    this.#probing = true;
    const answers = async (): Promise<boolean> => {
      try {
        await probeTemporal(temporal, PROBE_MS);
        return true;
      } catch (error) {
        this.#temporalTrouble = messageOf(error);
        return false;
      }
    };
    const untilAnswered = async (): Promise<void> => {
      while (!signal.aborted) {
        if (await answers()) break;
        await delay(PROBE_EVERY_MS, undefined, { signal }).catch(() => undefined);
      }
      this.#probing = false;
      if (signal.aborted) return;
      this.#temporalTrouble = undefined;
      this.#nextSweepAt = 0;
      this.#nextAuthorityAt = 0;
      log.info({}, 'Temporal answers: tasks are started');
    };
    this.#track(untilAnswered);
  }

  #hear(error: unknown, what: string): void {
    const { log } = this.#options;
    if (!isTemporalAway(error)) {
      log.error({ err: error }, what);
      return;
    }
    if (this.#temporalTrouble === undefined) log.warn({ err: error }, `Temporal is away: ${what}`);
    this.#temporalTrouble ??= `Temporal does not answer: ${plainly(messageOf(error))}`;
  }

  #postgresIs(error: unknown, more: boolean): boolean {
    const { log } = this.#options;
    if (error === undefined) {
      if (this.#postgresTrouble !== undefined) log.info({}, 'Postgres answers again');
      this.#postgresTrouble = undefined;
      if (this.trouble === undefined) this.#works();
      return more;
    }
    if (this.#postgresTrouble === undefined) log.warn({ err: error }, 'Postgres does not answer');
    this.#postgresTrouble = `Postgres does not answer: ${messageOf(error)}`;
    return false;
  }
}
