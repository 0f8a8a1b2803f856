/**
 * What a starting worker does for those who died before it: steps that a dead worker of this host had begun
 * are failed for a retry, and their workflows taken off its sticky queue. Recovery then takes as long as the
 * start of a worker, not a heartbeat timeout (60 s) and a sticky one (10 s).
 *
 * Whose step it is stands in Temporal: a worker's identity names its host and its process, by boot and start
 * time, so a later process with the same pid is not taken for it.
 *
 * Not covered: a step whose worker lives but hangs (SIGSTOP): the heartbeat timeout finds that one.
 */
import { type Client, WorkflowNotFoundError } from '@temporalio/client';
import proto from '@temporalio/proto';
import type { Logger } from 'pino';
import { endTask } from '../agents/process/end.ts';
import { isAlive } from '../processes/identity.ts';
import { openAttempts, recordAttemptFailure, type WorkerIdentity } from '../store/attempts.ts';
import type { Sql } from '../store/sql.ts';
import { startedTasks } from '../store/task-runs.ts';
import { settleWorkflowId, taskWorkflowId } from '../workflows/contract.ts';
import { workerLost } from './step.ts';

const STARTED = proto.temporal.api.enums.v1.PendingActivityState.PENDING_ACTIVITY_STATE_STARTED;
/** Runs looked at together. */
const CONCURRENCY = 16;
/** A Temporal that hangs must not keep a worker from its work. */
const RUN_MS = 5_000;

export interface Recovery {
  readonly sql: Sql;
  readonly temporal: Client;
  readonly host: string;
  readonly log: Logger;
}

/** As the Web UI shows it: `1234@host boot:… start:…`. */
export function workerIdentity(host: string, worker: WorkerIdentity): string {
  return `${worker.pid}@${host} boot:${worker.bootId} start:${worker.startTime}`;
}

function isDeadWorker(identity: string | null | undefined, host: string): boolean {
  const match = /^(?<pid>\d+)@(?<host>\S+) boot:(?<boot>\S+) start:(?<start>\S+)$/.exec(identity ?? '')?.groups;
  if (!match || match['host'] !== host) return false;
  const { pid, boot, start } = match;
  return !isAlive({ pid: Number(pid), bootId: boot ?? '', startTime: start ?? '' });
}

/**
 * Before this worker takes any step: ends what agents of dead workers left. Later it would meet the agents of
 * new attempts, which carry the same marker.
 */
export async function endLostAgents({ sql, host, log }: Omit<Recovery, 'temporal'>): Promise<void> {
  for (const attempt of await openAttempts(sql, host)) {
    if (isAlive({ pid: attempt.worker_pid, startTime: attempt.worker_start, bootId: attempt.boot_id })) continue;
    const left = await endTask(attempt.task_id);
    if (left > 0) log.error({ task_id: attempt.task_id, left }, 'processes of a lost attempt could not be ended');
    await recordAttemptFailure(sql, { taskId: attempt.task_id, attempt: attempt.attempt, code: 'worker_lost' });
  }
}

/** Once this worker polls: steps that dead workers of this host had begun are failed for a retry. */
export async function recoverSteps(recovery: Recovery): Promise<void> {
  const known = new Set((await startedTasks(recovery.sql)).flatMap((id) => [taskWorkflowId(id), settleWorkflowId(id)]));
  await recoverRuns(recovery, known);
  await recoverRuns(
    recovery,
    (await openRunsOf(recovery)).filter((run) => !known.has(run)),
  );
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
 * Those that rows do not tell of: of tasks whose rows were deleted, are not in the copy that the database was restored from,
 * or have ended, which Temporal forgot with the machine's power.
 */
async function openRunsOf({ temporal, log }: Recovery): Promise<string[]> {
  const query = "ExecutionStatus = 'Running' AND WorkflowType IN ('task', 'settle')";
  const ids: string[] = [];
  try {
    await temporal.withDeadline(Date.now() + RUN_MS, async () => {
      for await (const { workflowId } of temporal.workflow.list({ query })) ids.push(workflowId);
    });
  } catch (error) {
    log.warn({ err: error }, 'runs that no open row tells of wait for their timeouts: Temporal did not list them all');
  }
  return ids;
}

async function recoverRun({ temporal, host, log }: Recovery, workflowId: string): Promise<void> {
  try {
    await temporal.withDeadline(Date.now() + RUN_MS, () => failLostSteps({ temporal, host, log }, workflowId));
  } catch (error) {
    if (error instanceof WorkflowNotFoundError) return;
    log.warn({ workflow_id: workflowId, err: error }, 'a run waits for its timeouts: it could not be looked at');
  }
}

async function failLostSteps({ temporal, host, log }: Omit<Recovery, 'sql'>, workflowId: string): Promise<void> {
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
