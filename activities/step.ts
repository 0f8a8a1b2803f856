/** Defines the dependencies of all steps, and converts the failures of steps to Temporal's. */
import { ApplicationFailure, Context } from '@temporalio/activity';
import { CancelledFailure } from '@temporalio/common';
import type { Client } from '@temporalio/client';
import type { Logger } from 'pino';
import type { AgentTimeouts } from '../agents/driver.ts';
import type { AgentRegistry } from '../agents/launch/registry.ts';
import type { AgentSlots } from '../agents/slots.ts';
import type { FrameWriter } from '../frames/writer.ts';
import { isConnectionLoss, sqlCode, type Sql } from '../store/sql.ts';
import type { WorkerIdentity } from '../store/attempts.ts';
import type { Changes } from '../changes/changes.ts';
import type { Worktrees } from '../worktrees/worktrees.ts';
import { shorten } from '../contract/cut-text.ts';
import type { TemporalContent } from '../contract/task.ts';
import { type ErrorCode, isErrorCode, LonghaulError, messageOf } from '../contract/errors.ts';
import type { AnswerWatch } from './answer-watch.ts';
import { countStep, type StepEnd } from './step-metrics.ts';
import type { TurnRegistry } from './turns.ts';

/** What the step remove worktree needs to park worktrees. */
export interface Parking {
  /** False if the settings allow no parked worktree. */
  readonly areKept: boolean;
  /** Notifies the loop that keeps the limits for parked worktrees. */
  notify(): void;
}

export interface StepDeps {
  readonly sql: Sql;
  readonly frames: FrameWriter;
  readonly worktrees: Worktrees;
  readonly parking: Parking;
  /** Applies changes to the projects' checkouts. */
  readonly changes: Changes;
  readonly agents: AgentRegistry;
  /** The folders that projects must lie under. If it is empty, a project may lie in any folder. */
  readonly projectRoots: readonly string[];
  /** The folder that contains the worktrees, one folder for each session. */
  readonly worktreesDir: string;
  readonly temporal: Client;
  readonly temporalContent: TemporalContent;
  readonly host: string;
  readonly worker: WorkerIdentity;
  readonly turns: TurnRegistry;
  /** Finds the answers to the permission requests for which this worker's turns wait. */
  readonly answers: AnswerWatch;
  readonly slots: AgentSlots;
  /**
   * Aborted with `worker_lost` when this worker must exit. A worktree that is being created is then abandoned, and
   * another worker creates it again. Probes and resume checks end, too.
   */
  readonly forceShutdown: AbortSignal;
  readonly agentTimeouts: AgentTimeouts;
  /** A turn hibernates when its agent has only waited for a user's answer for this time. */
  readonly hibernateAfterMs: number;
  /** Whether agents are prompted once per version, to check that they can load a session after a kill. */
  readonly verifyResume: boolean;
  /** The worker's environment. An agent gets only a part of it. */
  readonly env: NodeJS.ProcessEnv;
  readonly log: Logger;
}

/**
 * Returns the failure of a step whose worker exited. The next attempt begins at once, because the step itself has no
 * fault. The usual pause grows with each attempt to 10 s, so after ten lost workers each further loss would cost the
 * task 10 s.
 */
export function workerLostFailure(message: string): ApplicationFailure {
  return ApplicationFailure.create({
    message,
    type: 'worker_lost' satisfies ErrorCode,
    nextRetryDelay: '1 millisecond',
  });
}

/**
 * The maximum length of a failure's message. Temporal's history contains failures, so it gets only the beginning of
 * what an agent or a command wrote. The log has the whole message.
 */
const MAX_MESSAGE_CHARS = 2_000;

/**
 * Wraps a step: it writes one log line when the step ends, and converts a failure of the step to a Temporal failure
 * whose type is the error code. A failure whose cause is an unavailable Postgres is retryable.
 */
export function wrapStep<In, Out>(
  name: string,
  log: Logger,
  run: (input: In) => Promise<Out>,
): (input: In) => Promise<Out> {
  return async (input) => {
    const startedAt = performance.now();
    const { attempt, workflowExecution } = Context.current().info;
    const workflow_id = workflowExecution?.workflowId;
    const line = log.child({ step: name, task_id: taskIdOf(input), workflow_id, attempt });
    const tookMs = (): number => Math.round(performance.now() - startedAt);
    try {
      const result = await run(input);
      line.info({ ms: tookMs() }, `${name} done`);
      countStep({ step: name, seconds: tookMs() / 1_000 });
      return result;
    } catch (error) {
      const failure = asFailure(error);
      line.warn({ ms: tookMs(), err: error }, `${name} failed: ${failure.message}`);
      countStep({ step: name, seconds: tookMs() / 1_000, failure: countedAs(failure) });
      throw failure;
    }
  };
}

function taskIdOf(input: unknown): unknown {
  return typeof input === 'object' && input !== null && 'taskId' in input ? input.taskId : undefined;
}

function countedAs(failure: Error): NonNullable<StepEnd['failure']> {
  if (!(failure instanceof ApplicationFailure)) return { code: 'cancelled', retryable: false };
  const { type, nonRetryable } = failure;
  return { code: isErrorCode(type) ? type : 'internal_error', retryable: nonRetryable !== true };
}

function asFailure(error: unknown): Error {
  if (error instanceof CancelledFailure || error instanceof ApplicationFailure) return error;
  if (error instanceof LonghaulError && error.code === 'worker_lost') return workerLostFailure(error.message);
  if (error instanceof LonghaulError) return failure(error.code, error.message, !error.facts.retryable);
  if (isNoSpace(error))
    return failure(
      'disk_full',
      `The disk is full: ${messageOf(error)}. Free some space; the step is retried.`,
      false,
      error,
    );
  if (isConnectionLoss(error))
    return failure('service_unreachable', `Postgres is unavailable: ${messageOf(error)}`, false, error);
  return failure('internal_error', messageOf(error), false, error);
}

/**
 * Returns a failure that Temporal retries after this pause. The pause overrides the interval of the step's retry
 * policy.
 */
export function retryAfterPause(pauseMs: number, { code, message }: LonghaulError): ApplicationFailure {
  return ApplicationFailure.create({ type: code, message: shortened(message), nextRetryDelay: pauseMs });
}

function shortened(text: string): string {
  return shorten(text.toWellFormed(), MAX_MESSAGE_CHARS);
}

/** Returns the Temporal failure. `cause` is given for a failure without an error code, because its stack is needed. */
function failure(type: ErrorCode, text: string, nonRetryable: boolean, cause?: unknown): ApplicationFailure {
  const message = shortened(text);
  const whole = message === text;
  return ApplicationFailure.create({ type, message, nonRetryable, ...(whole && cause instanceof Error && { cause }) });
}

function isNoSpace(error: unknown): boolean {
  const code = sqlCode(error);
  return code === 'ENOSPC' || code === '53100'; // 53100 is Postgres' own disk_full
}

const DATABASE_RETRY_MS = 1_000;

/**
 * Returns a function that repeats the step while Postgres is unavailable. It is for steps that have a limited number of
 * attempts because git may fail permanently: a repetition here does not count as an attempt. Each step can safely be
 * executed twice.
 */
export function retryWhileDatabaseDown<In, Out>(run: (input: In) => Promise<Out>): (input: In) => Promise<Out> {
  return async (input) => {
    const context = Context.current();
    for (;;) {
      try {
        return await run(input);
      } catch (error) {
        if (!isConnectionLoss(error)) throw error;
        context.heartbeat();
        await context.sleep(DATABASE_RETRY_MS);
      }
    }
  };
}

/**
 * Interval of heartbeats. The SDK throttles heartbeats to one a second (worker/run.ts). Temporal sends a cancel only in
 * the response to a heartbeat.
 */
const HEARTBEAT_MS = 1_000;

/**
 * Sends heartbeats while `work` runs, so that Temporal distinguishes a dead worker from a slow step. `signal` is
 * aborted when the step is cancelled.
 */
export async function withHeartbeat<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const context = Context.current();
  const timer = setInterval(() => context.heartbeat(), HEARTBEAT_MS);
  try {
    return await work(context.cancellationSignal);
  } catch (error) {
    if (context.cancellationSignal.aborted) throw context.cancellationSignal.reason;
    throw error;
  } finally {
    clearInterval(timer);
  }
}
