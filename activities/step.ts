/** What every step needs, and how its failures reach Temporal. */
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
import type { Worktrees } from '../worktrees/worktrees.ts';
import { shorten } from '../contract/cut-text.ts';
import type { TemporalContent } from '../contract/task.ts';
import { type ErrorCode, isErrorCode, LonghaulError, messageOf } from '../contract/errors.ts';
import type { AnswerWatch } from './answer-watch.ts';
import { countStep, type StepEnd } from './step-metrics.ts';
import type { TurnRegistry } from './turns.ts';

export interface StepDeps {
  readonly sql: Sql;
  readonly frames: FrameWriter;
  readonly worktrees: Worktrees;
  readonly agents: AgentRegistry;
  /** Folders that projects must lie under; none: anywhere. */
  readonly projectRoots: readonly string[];
  /** Where worktrees are made, one folder a session. */
  readonly worktreesDir: string;
  readonly temporal: Client;
  readonly temporalContent: TemporalContent;
  readonly host: string;
  readonly worker: WorkerIdentity;
  readonly turns: TurnRegistry;
  /** Of the permission requests that this worker's turns wait for. */
  readonly answers: AnswerWatch;
  readonly slots: AgentSlots;
  /** Aborted with `worker_lost` when this worker must end: a checkout that is being made is begun again elsewhere. */
  readonly forceShutdown: AbortSignal;
  readonly agentTimeouts: AgentTimeouts;
  /** The worker's environment, of which agents see a part. */
  readonly env: NodeJS.ProcessEnv;
  readonly log: Logger;
}

/**
 * The step's worker is gone, which says nothing about the step: the next attempt waits for nothing. With the usual pause,
 * which grows with each attempt to 10 s, a task that outlives ten workers would stand still for as long each time.
 */
export function workerLost(message: string): ApplicationFailure {
  return ApplicationFailure.create({
    message,
    type: 'worker_lost' satisfies ErrorCode,
    nextRetryDelay: '1 millisecond',
  });
}

/** Temporal's history keeps failures: it is not for what an agent or a command wrote. The log has all of it. */
const MAX_MESSAGE_CHARS = 2_000;

/**
 * Wraps a step: one log line when it ends, and its failure as a Temporal failure whose type is our error
 * code. What only says that Postgres is away for now is retried for as long as it takes.
 */
export function step<In, Out>(
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
  if (error instanceof LonghaulError && error.code === 'worker_lost') return workerLost(error.message);
  if (error instanceof LonghaulError) return failure(error.code, error.message, !error.facts.retryable);
  if (isNoSpace(error))
    return failure('disk_full', `The disk is full: ${messageOf(error)}. Free some space.`, false, error);
  if (isConnectionLoss(error))
    return failure('service_unreachable', `Postgres is not answering: ${messageOf(error)}`, false, error);
  return failure('internal_error', messageOf(error), false, error);
}

/** A failure for a retry that begins after this pause, whatever the step's policy says. */
export function retryIn(pauseMs: number, { code, message }: LonghaulError): ApplicationFailure {
  return ApplicationFailure.create({ type: code, message: shortened(message), nextRetryDelay: pauseMs });
}

function shortened(text: string): string {
  return shorten(text.toWellFormed(), MAX_MESSAGE_CHARS);
}

/** The cause, for its stack: of failures that we have no name for. */
function failure(type: ErrorCode, text: string, nonRetryable: boolean, cause?: unknown): ApplicationFailure {
  const message = shortened(text);
  const whole = message === text;
  return ApplicationFailure.create({ type, message, nonRetryable, ...(whole && cause instanceof Error && { cause }) });
}

function isNoSpace(error: unknown): boolean {
  const code = sqlCode(error);
  return code === 'ENOSPC' || code === '53100'; // 53100: Postgres' own disk_full
}

const DATABASE_RETRY_MS = 1_000;

/**
 * For a step whose retries are counted because git may fail for good: while Postgres is away it is begun again
 * here, which counts nothing. A step may be run twice; that is what steps are.
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

/** The SDK throttles heartbeats to one a second (worker.ts); an answer to one carries a cancel. */
const HEARTBEAT_MS = 1_000;

/** Heartbeats while `work` runs, so that a dead worker is told from a slow step, and hands it the cancel. */
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
