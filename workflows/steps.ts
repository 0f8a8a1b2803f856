/** Defines how each step is scheduled: its queue, its timeouts, its retries, and its name in the Web UI. */
import {
  ActivityCancellationType,
  type ActivityOptions,
  proxyActivities,
  proxyLocalActivities,
  workflowInfo,
} from '@temporalio/workflow';
import type { Commands } from './commands.ts';
import { head } from '../contract/cut-text.ts';
import { agentQueue, hostQueue, WORKFLOW_QUEUE } from '../contract/names.ts';
import type { DispatchInput, DispatchResult, Steps } from '../contract/steps.ts';

/** The steps as the workflow calls them. `dispatchAgent` also takes the agent's name, so that the Web UI shows it. */
export type TaskSteps = Omit<Steps, 'dispatchAgent'> & {
  dispatchAgent(input: DispatchInput, agent: string): Promise<DispatchResult>;
  /** The step `publishProgress` for a phase that lasts long. It is retried until the rows have the phase. */
  publishWait: Steps['publishProgress'];
};

/**
 * Options of a step that needs only the database. Its attempts are not limited, because Postgres may be unavailable for
 * hours and a failed step would help no task.
 */
const DATABASE_STEP = {
  startToCloseTimeout: '30s',
  retry: { initialInterval: '200ms', backoffCoefficient: 2, maximumInterval: '10s' },
} as const;

/**
 * Options of a step on the host's disk. The step may take minutes, because git takes minutes on a large repository. The
 * heartbeat distinguishes a slow step from a dead worker.
 */
const HOST_STEP = {
  startToCloseTimeout: '30m',
  heartbeatTimeout: '15s',
  cancellationType: ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
  retry: { initialInterval: '500ms', backoffCoefficient: 2, maximumInterval: '10s', maximumAttempts: 6 },
} as const;

/** The timeout of a turn. Longhaul does not limit the length of a turn; it limits how long an agent may be silent. */
const TURN_TIMEOUT = '30 days';

/** Temporal's priorities are 1, the highest, to 5. A task has 3 by default. */
const DISPATCH_PRIORITY = 1;

/** Returns a priority one below the task's own, so that tasks that have a worktree are dispatched first. */
function preparingPriority(): number {
  return Math.min(5, (workflowInfo().priority?.priorityKey ?? 3) + 1);
}

/**
 * Cuts the agent's name for the step's summary. Temporal refuses a summary of more than 400 bytes, and refuses it again
 * at each retry.
 */
export const shortName = (agent: string): string => head(agent, 60);

/** Returns the steps as functions that schedule them on the queues of this host. */
export function steps(host: string, { localDatabaseSteps }: Commands): TaskSteps {
  const { openSession, queueChange, finishTask } = databaseSteps(localDatabaseSteps);
  const { createWorktree } = proxyActivities<Steps>({
    ...HOST_STEP,
    taskQueue: agentQueue(host),
    // The step may wait until the turns of another worker of the host have ended.
    startToCloseTimeout: TURN_TIMEOUT,
    priority: { priorityKey: preparingPriority() },
    summary: 'create git worktree',
  });
  const dispatch: ActivityOptions = {
    taskQueue: agentQueue(host),
    // The priority is higher than that of create worktree. So a task that has a worktree is dispatched first, and few
    // worktrees exist that wait for a slot.
    priority: { priorityKey: DISPATCH_PRIORITY },
    startToCloseTimeout: TURN_TIMEOUT,
    // A Temporal outage of 20 s must not end turns, so the timeout is longer. When a worker starts, it fails the steps
    // of dead workers without waiting for this timeout.
    heartbeatTimeout: '60s',
    cancellationType: ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
    // The step itself counts the agent's failures and gives up after a few. The limit of 10,000 attempts is for lost
    // workers and an unavailable Postgres. The limit is reached after more than a day.
    retry: { initialInterval: '300ms', backoffCoefficient: 1.5, maximumInterval: '10s', maximumAttempts: 10_000 },
  };
  const { dispatchAgent } = proxyActivities<Steps>(dispatch);
  const { diffWorktree } = proxyActivities<Steps>({
    ...HOST_STEP,
    taskQueue: hostQueue(host),
    summary: 'collect what changed',
  });
  const { removeWorktree } = proxyActivities<Steps>({
    ...HOST_STEP,
    taskQueue: hostQueue(host),
    summary: 'remove git worktree',
  });
  const { publishProgress } = proxyLocalActivities<Steps>({
    startToCloseTimeout: '3s',
    summary: 'publish the phase to rows and followers',
    retry: { maximumAttempts: 2, initialInterval: '200ms' },
  });
  const { publishProgress: publishWait } = proxyLocalActivities<Steps>({
    ...DATABASE_STEP,
    summary: 'publish the end of the wait to rows and followers',
  });
  const { answerPermission } = proxyLocalActivities<Steps>({
    ...DATABASE_STEP,
    summary: 'store the answer to a permission request',
  });
  return {
    openSession,
    createWorktree,
    dispatchAgent: (input, agent) =>
      dispatchAgent.executeWithOptions({ ...dispatch, summary: `${shortName(agent)} works on the task` }, [input]),
    diffWorktree,
    queueChange,
    removeWorktree,
    finishTask,
    publishProgress,
    publishWait,
    answerPermission,
  };
}

const DATABASE_STEPS = {
  openSession: 'open session, chat and message',
  queueChange: 'queue the change for review',
  finishTask: 'record how the task ended',
} as const;

function databaseSteps(local: boolean): Pick<Steps, keyof typeof DATABASE_STEPS> {
  const proxy = (name: keyof typeof DATABASE_STEPS) => {
    const options = { ...DATABASE_STEP, summary: DATABASE_STEPS[name] };
    return local
      ? proxyLocalActivities<Steps>(options)
      : proxyActivities<Steps>({ ...options, taskQueue: WORKFLOW_QUEUE });
  };
  const { openSession } = proxy('openSession');
  const { queueChange } = proxy('queueChange');
  const { finishTask } = proxy('finishTask');
  return { openSession, queueChange, finishTask };
}
