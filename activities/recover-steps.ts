/**
 * Recovers the steps of dead workers of this host, when a worker starts and then every few seconds. It fails the steps
 * that a dead worker had begun, so that Temporal retries them, and takes their workflows off the dead worker's sticky
 * queue. Recovery then takes as long as the start of a worker, or one check, instead of a heartbeat timeout (60 s) and
 * a sticky timeout (10 s). Temporal knows the identity of the worker that began a step. The identity names the worker's
 * process, so recovery can check whether that process has exited.
 *
 * Not covered: a step whose worker is alive but hangs (SIGSTOP). The heartbeat timeout finds such a step.
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
import { workerLostFailure } from './step.ts';
import { isDeadWorker } from './worker-identity.ts';

const STARTED = proto.temporal.api.enums.v1.PendingActivityState.PENDING_ACTIVITY_STATE_STARTED;
/** How many runs Temporal is asked to describe at the same time. A description lists the pending steps of a run. */
const CONCURRENCY = 16;
/** Timeout of the calls for one run, because a Temporal server that hangs must not block a worker. */
const RUN_TIMEOUT_MS = 5_000;
/** Interval between two checks for dead workers of the host. */
const POLL_INTERVAL_MS = 3_000;

export interface Recovery {
  readonly sql: Sql;
  readonly temporal: Client;
  readonly host: string;
  readonly log: Logger;
  /**
   * Runs `work` while no other worker of the host recovers steps. A step is failed by its activity id, which all its
   * attempts share. If two workers found the same dead worker at the same time, the later worker would fail the next
   * attempt of the step.
   */
  readonly exclusively: <T>(work: () => Promise<T>) => Promise<T>;
}

/**
 * Ends the attempts of dead workers, which notifies the followers of the sessions to which these attempts belong.
 * Returns the number of these attempts.
 */
export async function endLostAttempts({ sql, host }: Pick<Recovery, 'sql' | 'host'>): Promise<number> {
  const lost = (await openAttempts(sql, host)).filter(
    (open) => !isAlive({ pid: open.worker_pid, startTime: open.worker_start, bootId: open.boot_id }),
  );
  for (const { task_id: taskId, attempt } of lost) {
    await recordAttemptFailure(sql, { taskId, attempt, code: 'worker_lost' });
  }
  return lost.length;
}

/**
 * Fails the steps that dead workers of this host had begun, so that Temporal retries them. Call it after this worker
 * has begun to poll, so that the worker can take over the retried steps.
 */
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
 * Recovers from workers that die while this worker runs, until `signal` is aborted. It finds dead workers by their
 * attempts at turns. The other steps need no check, because they have a short heartbeat timeout.
 */
export async function recoverFromOthers(recovery: Recovery, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    await sleep(POLL_INTERVAL_MS, undefined, { signal }).catch(() => undefined);
    try {
      if (!signal.aborted && (await endLostAttempts(recovery)) > 0) await recoverSteps(recovery);
    } catch (error) {
      recovery.log.warn(
        { err: error },
        `could not check for dead workers of this host; retrying in ${POLL_INTERVAL_MS / 1_000} s`,
      );
    }
  }
}

/**
 * Returns the open runs that no row names. There are three causes: the row was deleted; the database was restored from
 * a backup that does not have the row; or the row is final, but Temporal lost the end of the run in a power failure.
 */
async function openRunsOf({ temporal, log }: Recovery): Promise<string[]> {
  const query = "ExecutionStatus = 'Running' AND WorkflowType IN ('task', 'settle', 'apply')";
  const ids: string[] = [];
  try {
    await temporal.withDeadline(Date.now() + RUN_TIMEOUT_MS, async () => {
      for await (const { workflowId } of temporal.workflow.list({ query })) ids.push(workflowId);
    });
  } catch (error) {
    log.warn(
      { err: error },
      'Temporal did not list all open runs: those without an open row continue after their timeouts',
    );
  }
  return ids;
}

async function recoverRun({ temporal, host, log }: Recovery, workflowId: string): Promise<void> {
  try {
    await temporal.withDeadline(Date.now() + RUN_TIMEOUT_MS, () => failLostSteps({ temporal, host, log }, workflowId));
  } catch (error) {
    if (error instanceof WorkflowNotFoundError) return;
    log.warn(
      { workflow_id: workflowId, err: error },
      'a run could not be checked for steps of dead workers: such a step continues after its timeout',
    );
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
  const failure = workerLostFailure('the worker process died');
  for (const { activityId, activityType } of lost) {
    await temporal.activity.fail({ workflowId, activityId: activityId ?? '' }, failure);
    log.info({ workflow_id: workflowId, step: activityType?.name }, 'ended the step of a dead worker');
  }
  const { namespace } = temporal.options;
  await temporal.workflowService.resetStickyTaskQueue({ namespace, execution: { workflowId } });
}
