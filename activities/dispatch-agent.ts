/**
 * Step 3, dispatch agent: one attempt at the turn. If the turn still runs in this process, the step adopts the turn.
 * Otherwise the step takes one of the host's slots and the fence. If an earlier attempt stored an outcome that Temporal
 * did not receive, the step then returns that outcome; otherwise it starts a turn. The turn holds the slot until the
 * turn ends. Meanwhile the step watches the turn: it sends heartbeats to Temporal and progress to the workflow, and
 * handles a cancellation.
 */
import { Context } from '@temporalio/activity';
import { CancelledFailure } from '@temporalio/common';
import type { Slot } from '../agents/slots.ts';
import { isAlive } from '../processes/identity.ts';
import { adoptTurn, takeTurn } from '../store/attempts.ts';
import { isTaskRunning, turnTask } from '../store/turn-task.ts';
import type { TaskId } from '../contract/ids.ts';
import { AGENT_PROGRESS } from '../contract/names.ts';
import type { DispatchInput, DispatchResult } from '../contract/steps.ts';
import type { AgentProgress } from '../contract/task.ts';
import { LonghaulError } from '../contract/errors.ts';
import { ProgressPacer } from './progress-pacer.ts';
import { type StepDeps, withHeartbeat } from './step.ts';
import { startTurn } from './turn.ts';
import type { LiveTurn } from './turns.ts';
import { warnOfEdits } from './warn-of-edits.ts';
import { progressWithoutText } from './withhold.ts';

/**
 * Interval of heartbeats. The SDK throttles heartbeats to one a second (worker/run.ts). Temporal sends a cancel only in
 * the response to a heartbeat.
 */
const HEARTBEAT_MS = 1_000;
/** Interval at which the task's row is read, because any program may end or delete it while its agent works. */
const ROW_POLL_MS = 5_000;
/** A turn that no attempt watches is stopped after this time, unless the next attempt adopts it. */
const ADOPTION_GRACE_MS = 30_000;

export function makeDispatchAgent(deps: StepDeps) {
  return async function dispatchAgent(input: DispatchInput): Promise<DispatchResult> {
    // Attempts run in order. Otherwise an attempt whose query hung could continue beside the next attempt.
    const turn = await deps.turns.inOrder(input.taskId, () => turnFor(deps, input));
    if ('outcome' in turn) return turn.outcome;
    return 'live' in turn ? watch(deps, turn.live) : untilCancelled();
  };
}

/**
 * Returns the number of this attempt. Attempts are numbered through the whole turn: each dispatch continues the count
 * of the previous one.
 */
function attemptOf({ soFar }: DispatchInput): number {
  return (soFar?.attempt ?? 0) + Context.current().info.attempt;
}

/**
 * Waits until Temporal cancels this step, because the task's row already has a cancel request. Intake re-sends the
 * signal `cancelTask` until the workflow cancels this step.
 */
async function untilCancelled(): Promise<never> {
  const context = Context.current();
  const timer = setInterval(() => context.heartbeat(), HEARTBEAT_MS);
  try {
    return await context.cancelled;
  } catch (error) {
    const { cancelRequested, workerShutdown } = context.cancellationDetails ?? {};
    if (cancelRequested || !workerShutdown) throw error;
    throw new LonghaulError('worker_lost', 'the worker was shut down before the cancel arrived');
  } finally {
    clearInterval(timer);
  }
}

type Found = { readonly outcome: DispatchResult } | { readonly live: LiveTurn } | { readonly cancelRequested: true };

async function turnFor(deps: StepDeps, input: DispatchInput): Promise<Found> {
  const { taskId } = input;
  const attempt = attemptOf(input);
  const running = deps.turns.get(taskId);
  if (running) {
    // Temporal may have lost attempts in a power failure, and then it uses their numbers again. So the number of the
    // running attempt counts, too.
    const next = Math.max(attempt, running.attempt + 1);
    const adopted = await adoptTurn(deps.sql, { taskId, attempt: next, from: running.attempt });
    if (adopted) {
      deps.turns.adopt(running, next);
      return { live: running };
    }
    await running.stop('abandoned');
  }
  const slot = await slotFor(deps, { taskId, attempt });
  try {
    const found = await newTurn(deps, input);
    if ('live' in found) found.live.result.then(slot.release, slot.release);
    else slot.release();
    return found;
  } catch (error) {
    slot.release();
    throw error;
  }
}

/**
 * Takes one of the host's slots. All slots are in use only if another worker of this host holds some of them, or if a
 * turn runs that no attempt watches. In the first case the step waits; in the second case it fails with `no_free_slot`.
 */
async function slotFor({ slots, turns }: StepDeps, claim: { taskId: TaskId; attempt: number }): Promise<Slot> {
  const atOnce = await slots.tryTake(claim);
  if (atOnce) return atOnce;
  return withHeartbeat(async (signal) => {
    for (;;) {
      // A turn without a watching attempt holds a slot. The attempt that will adopt that turn needs the activity slot
      // that this attempt holds at Temporal, so this attempt ends.
      if (turns.hasUnwatched)
        throw new LonghaulError(
          'no_free_slot',
          'every agent slot is in use, one by a turn that its next attempt will adopt',
        );
      await slots.untilChange(signal);
      const slot = await slots.tryTake(claim);
      if (slot) return slot;
    }
  });
}

async function newTurn(deps: StepDeps, input: DispatchInput): Promise<Found> {
  const { taskId, soFar } = input;
  const { info } = Context.current();
  const attempt = attemptOf(input);
  const taken = await takeTurn(deps.sql, {
    taskId,
    attempt,
    waits: soFar?.waits ?? 0,
    runId: info.workflowExecution?.runId ?? '',
    host: deps.host,
    worker: deps.worker,
    isWorkerAlive: (worker) =>
      worker.pid === deps.worker.pid ? deps.turns.get(taskId) !== undefined : isAlive(worker),
  });
  switch (taken.kind) {
    case 'cancel_requested':
      return { cancelRequested: true };
    case 'gone':
      throw new LonghaulError('task_gone', `task ${taskId}: its row or the row of its session was deleted`);
    case 'superseded':
      throw new LonghaulError('superseded', `task ${taskId}, attempt ${attempt}: ${taken.reason}`);
    case 'done':
      return { outcome: taken.outcome };
    case 'taken': {
      const task = await turnTask(deps.sql, taskId);
      if (!task) throw new LonghaulError('task_gone', `task ${taskId}: its row was deleted`);
      const live = startTurn(deps, {
        task,
        taken,
        mayWait: soFar !== undefined,
        mayHibernate: input.mayHibernate === true,
      });
      deps.turns.add(live);
      return { live };
    }
  }
}

async function watch(deps: StepDeps, turn: LiveTurn): Promise<DispatchResult> {
  const context = Context.current();
  const workflow = deps.temporal.workflow.getHandle(context.info.workflowExecution?.workflowId ?? '');
  const reported = (of: LiveTurn): AgentProgress =>
    deps.temporalContent === 'none' ? progressWithoutText(of.progress()) : of.progress();
  const pacer = new ProgressPacer((progress) => workflow.signal(AGENT_PROGRESS, progress));
  const beat = (): void => {
    context.heartbeat(turn.heartbeat());
    pacer.offer(reported(turn));
  };
  beat();
  const timer = setInterval(beat, HEARTBEAT_MS);
  let warned: Promise<void> | undefined;
  const unsubscribe = turn.onProgress(() => {
    pacer.offer(reported(turn));
    warned ??= warnOfEdits(deps, turn.taskId, context.cancellationSignal);
  });
  // The turn's current attempt. The next attempt may adopt the turn before Temporal notifies this attempt that this
  // attempt is over.
  const { attempt } = turn;
  let polling: NodeJS.Timeout | undefined;
  const ended = new Promise<never>((_, reject) => {
    const poll = async (): Promise<void> => {
      // If Postgres is unavailable, the task counts as running until a later query succeeds.
      if (await isTaskRunning(deps.sql, turn.taskId).catch(() => true)) return;
      // The closing steps stop the turn and collect the files that it has written.
      const message = `task ${turn.taskId}: its row was ended or deleted while the agent worked`;
      reject(new LonghaulError('task_gone', message));
    };
    polling = setInterval(() => void poll(), ROW_POLL_MS);
  });
  try {
    return await Promise.race([turn.result, context.cancelled, ended]);
  } catch (error) {
    if (error instanceof CancelledFailure && context.cancellationSignal.aborted)
      await handleCancellation(deps, { turn, attempt, cancelled: error });
    throw error;
  } finally {
    clearInterval(timer);
    clearInterval(polling);
    unsubscribe();
    await warned;
  }
}

/**
 * Handles a cancellation that Temporal's SDK delivered to this attempt: after a cancel request, at a shutdown of the
 * worker, or because Temporal ended the attempt. Only a cancel request ends the turn permanently.
 */
async function handleCancellation(
  { turns }: StepDeps,
  { turn, attempt, cancelled }: { turn: LiveTurn; attempt: number; cancelled: CancelledFailure },
): Promise<never> {
  const details = Context.current().cancellationDetails;
  if (details?.cancelRequested) {
    await turn.stop('cancel');
    throw cancelled;
  }
  if (details?.workerShutdown) {
    await turn.stop('shutdown');
    throw new LonghaulError('worker_lost', 'the worker was shut down; the next attempt continues the turn');
  }
  // Temporal ended this attempt without a cancel: the attempt timed out, was paused or reset, or is unknown to the
  // server. The process is healthy, so the turn continues for the next attempt, which may have adopted it already.
  if (turn.attempt === attempt) turns.unwatch(turn);
  setTimeout(() => {
    if (turn.attempt === attempt) void turn.stop('abandoned');
  }, ADOPTION_GRACE_MS).unref();
  throw cancelled;
}
