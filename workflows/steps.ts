/** How each step is scheduled: its queue, its timeouts, how it is retried, and what the Web UI calls it. */
import {
  ActivityCancellationType,
  type ActivityOptions,
  proxyActivities,
  proxyLocalActivities,
  workflowInfo,
} from '@temporalio/workflow';
import type { Commands } from './began.ts';
import { head } from '../contract/cut-text.ts';
import { agentQueue, hostQueue, WORKFLOW_QUEUE } from '../contract/names.ts';
import type { DispatchInput, DispatchResult, Steps } from '../contract/steps.ts';

/** The steps as the workflow calls them: the Web UI names the agent that works. */
export type TaskSteps = Omit<Steps, 'dispatchAgent'> & {
  dispatchAgent(input: DispatchInput, agent: string): Promise<DispatchResult>;
  /** The same as publishProgress, for what stays true for long: tried until the rows say it. */
  publishWait: Steps['publishProgress'];
};

/** Postgres may be away for long; nothing is gained by giving up on it. */
const DATABASE_STEP = {
  startToCloseTimeout: '30s',
  retry: { initialInterval: '200ms', backoffCoefficient: 2, maximumInterval: '10s' },
} as const;

/** git on a large repository takes minutes; the heartbeat tells a slow step from a dead worker. */
const HOST_STEP = {
  startToCloseTimeout: '30m',
  heartbeatTimeout: '15s',
  cancellationType: ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
  retry: { initialInterval: '500ms', backoffCoefficient: 2, maximumInterval: '10s', maximumAttempts: 6 },
} as const;

/** A turn has no limit of ours; an agent's silence has. */
const TURN_TIMEOUT = '30 days';

/** Temporal's priorities go from 1, the best, to 5; a task has 3 unless it says otherwise. */
const DISPATCH_PRIORITY = 1;

/** Below what has been prepared already, in the order that the tasks ask for. */
function preparingPriority(): number {
  return Math.min(5, (workflowInfo().priority?.priorityKey ?? 3) + 1);
}

/** Temporal refuses a summary of more than 400 bytes, again and again. */
export const short = (agent: string): string => head(agent, 60);

export function steps(host: string, { localDatabaseSteps }: Commands): TaskSteps {
  const { openSession, queueChange, finishTask } = databaseSteps(localDatabaseSteps);
  const { createWorktree } = proxyActivities<Steps>({
    ...HOST_STEP,
    taskQueue: agentQueue(host),
    // It may wait for the turns of another worker of the host to end.
    startToCloseTimeout: TURN_TIMEOUT,
    priority: { priorityKey: preparingPriority() },
    summary: 'create git worktree',
  });
  const dispatch: ActivityOptions = {
    taskQueue: agentQueue(host),
    // Better than create worktree: what has been prepared goes first, so few checkouts wait.
    priority: { priorityKey: DISPATCH_PRIORITY },
    startToCloseTimeout: TURN_TIMEOUT,
    // A Temporal outage of 20 s must not end turns; a starting worker does not wait for this timeout.
    heartbeatTimeout: '60s',
    cancellationType: ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
    // The step itself counts the agent's failures and gives up after a few. This bounds lost workers and a
    // Postgres that is away: a day and more.
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
    summary: 'tell rows and followers the phase',
    retry: { maximumAttempts: 2, initialInterval: '200ms' },
  });
  const { publishProgress: publishWait } = proxyLocalActivities<Steps>({
    ...DATABASE_STEP,
    summary: 'tell rows and followers until when the task waits',
  });
  const { answerPermission } = proxyLocalActivities<Steps>({
    ...DATABASE_STEP,
    summary: 'store the answer to a permission request',
  });
  return {
    openSession,
    createWorktree,
    dispatchAgent: (input, agent) =>
      dispatchAgent.executeWithOptions({ ...dispatch, summary: `${short(agent)} works on the task` }, [input]),
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
