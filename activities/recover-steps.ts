/**
 * What a worker does for those of its host that died, as it starts and then every few seconds: steps that a dead worker
 * had begun are failed for a retry, and their workflows taken off its sticky queue. Recovery then takes as long as the
 * start of a worker, or as such a look, not a heartbeat timeout (60 s) and a sticky one (10 s).
 *
 * Whose step it is stands in Temporal, by the worker's identity.
 *
 * Not covered: a step whose worker lives but hangs (SIGSTOP): the heartbeat timeout finds that one.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { type Client, WorkflowNotFoundError } from '@temporalio/client';
import proto from '@temporalio/proto';
import type { Logger } from 'pino';
import { isAlive } from '../processes/identity.ts';
import { openAttempts, recordAttemptFailure } from '../store/attempts.ts';
import type { Sql } from '../store/sql.ts';
import { startedTasks } from '../store/task-runs.ts';
import { settleWorkflowId, taskWorkflowId } from '../contract/names.ts';
import { workerLost } from './step.ts';
import { isDeadWorker } from './worker-identity.ts';

const STARTED = proto.temporal.api.enums.v1.PendingActivityState.PENDING_ACTIVITY_STATE_STARTED;
/** Runs looked at together. */
const CONCURRENCY = 16;
/** A Temporal that hangs must not keep a worker from its work. */
const RUN_TIMEOUT_MS = 5_000;
/** Between two looks for workers of the host that have died. */
const POLL_INTERVAL_MS = 3_000;

export interface Recovery {
  readonly sql: Sql;
  readonly temporal: Client;
  readonly host: string;
  readonly log: Logger;
  /**
   * Runs `work` while no other worker of the host does: a step is failed by its name, so of two that had seen the same dead
   * worker the later one would fail the attempt that came after.
   */
  readonly exclusively: <T>(work: () => Promise<T>) => Promise<T>;
}

/** Attempts of dead workers are over: whoever follows them is told so. Answers how many there were. */
export async function endLostAttempts({ sql, host }: Pick<Recovery, 'sql' | 'host'>): Promise<number> {
  const lost = (await openAttempts(sql, host)).filter(
    (open) => !isAlive({ pid: open.worker_pid, startTime: open.worker_start, bootId: open.boot_id }),
  );
  for (const { task_id: taskId, attempt } of lost) {
    await recordAttemptFailure(sql, { taskId, attempt, code: 'worker_lost' });
  }
  return lost.length;
}

/** Once this worker polls: steps that dead workers of this host had begun are failed for a retry. */
export async function recoverSteps(recovery: Recovery): Promise<void> {
  await recovery.exclusively(async () => {
    const known = new Set(
      (await startedTasks(recovery.sql)).flatMap((id) => [taskWorkflowId(id), settleWorkflowId(id)]),
    );
    await recoverRuns(recovery, known);
    const others = (await openRunsOf(recovery)).filter((run) => !known.has(run));
    await recoverRuns(recovery, others);
  });
}

async function recoverRuns(recovery: Recovery, runs: Iterable<string>): Promise<void> {
  const next = [...runs].values();
  await Promise.all(
    Array.from({ length: CONCURRENCY }, async () => {
      for (const workflowId of next) await recoverRun(recovery, workflowId);
    }),
  );
}

/**
 * The same for workers that die while this one lives, until it is stopped. Their turns show it; of other steps the
 * heartbeat timeout is short.
 */
export async function recoverFromOthers(recovery: Recovery, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    await sleep(POLL_INTERVAL_MS, undefined, { signal }).catch(() => undefined);
    try {
      if (!signal.aborted && (await endLostAttempts(recovery)) > 0) await recoverSteps(recovery);
    } catch (error) {
      recovery.log.warn({ err: error }, 'dead workers of this host were not looked for; this is tried again');
    }
  }
}

/**
 * Those that rows do not tell of: of tasks whose rows were deleted, are not in the copy that the database was restored from,
 * or have ended, which Temporal forgot with the machine's power.
 */
async function openRunsOf({ temporal, log }: Recovery): Promise<string[]> {
  const query = "ExecutionStatus = 'Running' AND WorkflowType IN ('task', 'settle')";
  const ids: string[] = [];
  try {
    await temporal.withDeadline(Date.now() + RUN_TIMEOUT_MS, async () => {
      for await (const { workflowId } of temporal.workflow.list({ query })) ids.push(workflowId);
    });
  } catch (error) {
    log.warn({ err: error }, 'runs that no open row tells of wait for their timeouts: Temporal did not list them all');
  }
  return ids;
}

async function recoverRun({ temporal, host, log }: Recovery, workflowId: string): Promise<void> {
  try {
    await temporal.withDeadline(Date.now() + RUN_TIMEOUT_MS, () => failLostSteps({ temporal, host, log }, workflowId));
  } catch (error) {
    if (error instanceof WorkflowNotFoundError) return;
    log.warn({ workflow_id: workflowId, err: error }, 'a run waits for its timeouts: it could not be looked at');
  }
}

async function failLostSteps(
  { temporal, host, log }: Omit<Recovery, 'sql' | 'exclusively'>,
  workflowId: string,
): Promise<void> {
  const { raw } = await temporal.workflow.getHandle(workflowId).describe();
  const lost = (raw.pendingActivities ?? []).filter(
    (step) => step.state === STARTED && isDeadWorker(step.lastWorkerIdentity, host),
  );
  const failure = workerLost('the worker process died');
  for (const { activityId, activityType } of lost) {
    await temporal.activity.fail({ workflowId, activityId: activityId ?? '' }, failure);
    log.info({ workflow_id: workflowId, step: activityType?.name }, 'ended the step of a dead worker');
  }
  const { namespace } = temporal.options;
  await temporal.workflowService.resetStickyTaskQueue({ namespace, execution: { workflowId } });
}
